/** How a job looks to anybody, and the words for where jobs and bids stand. */

import { copy, money, part, write, writeTime } from "/static/dom.js";

const WORDS = /** @type {Record<string, string>} */ ({
  open: "Open", assigned: "Hired", in_progress: "In progress", submitted: "Submitted", completed: "Completed",
  cancelled: "Cancelled", expired: "Expired", pending: "Pending", hired: "Hired", rejected: "Not chosen", withdrawn: "Withdrawn",
});

/** @param {ParentNode} root @param {string} status of a job or a bid */
export function writeStatus(root, status) {
  write(root, { status: WORDS[status] ?? status });
  part(root, "status").dataset.status = status;
}

/** A card with `below` under the job. @param {string} below id of a template, or "" @returns {HTMLElement} */
export function makeJob(below) {
  const card = copy("job");
  if (below) part(card, "below").append(copy(below));
  return card;
}

/** @param {HTMLElement} card @param {any} job @param {string} facts */
export function showJob(card, job, facts) {
  write(card, { title: job.title, budget: money(job.budget, job.currency), description: job.description, facts });
  writeStatus(card, job.status);
  writeTime(card, job.createdAt);
  part(card, "skills").replaceChildren(...job.skills.map((/** @type {string} */ skill) => {
    const element = document.createElement("li");
    element.textContent = skill;
    return element;
  }));
}

/** The card of a job, where it is shown. @param {ParentNode} root @param {string} id @returns {HTMLElement | null} */
export function cardOf(root, id) {
  return root.querySelector(`.job[data-id="${CSS.escape(id)}"]`);
}
