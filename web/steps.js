/** The buttons under a job: what one may do next with it, by who one is to it and where it stands. */

import { attempt, copy, money, part } from "/static/dom.js";

/**
 * The words of a button, and the state it leads to.
 * @typedef {[string, string]} Step
 */

/** Where a note may go along: the owner asks for changes. */
const CHANGES = "in_progress";

const STEPS = /** @type {Record<string, Record<string, Step[]>>} */ ({
  owner: {
    open: [["Cancel job", "cancelled"]],
    assigned: [["Cancel job", "cancelled"]],
    submitted: [["Complete and pay", "completed"], ["Ask for changes", CHANGES]],
  },
  worker: {
    assigned: [["Accept", "in_progress"], ["Decline", "cancelled"]],
    in_progress: [["Submit work", "submitted"], ["Give up", "cancelled"]],
    submitted: [["Give up", "cancelled"]],
  },
  anybody: {},
});

/** @param {any} job @param {"owner" | "worker" | "anybody"} who @returns {Step[]} */
function stepsOf(job, who) {
  const taken = job.status !== "open" || !job.instantAccept || who !== "anybody";
  if (!taken) return [[`Take it for ${money(job.budget, job.currency)}`, "in_progress"]];
  return STEPS[who][job.status] ?? [];
}

/**
 * Show the buttons of a job's card; they stay the same as long as the choice does.
 * @param {HTMLElement} card @param {any} job @param {"owner" | "worker" | "anybody"} who
 * @param {import("/static/api.js").Api} api @param {() => Promise<unknown>} after
 */
export function showSteps(card, job, who, api, after) {
  const steps = stepsOf(job, who);
  const shown = `${who} ${job.status} ${steps.map(([words]) => words).join()}`;
  const box = part(card, "steps");
  if (box.dataset.shown === shown) return;
  box.dataset.shown = shown;
  box.replaceChildren(...(steps.length ? [makeSteps(job, who, steps, api, after)] : []));
}

/**
 * @param {any} job @param {string} who @param {Step[]} steps
 * @param {import("/static/api.js").Api} api @param {() => Promise<unknown>} after
 */
function makeSteps(job, who, steps, api, after) {
  const element = copy("steps");
  const note = part(element, "note");
  const withNote = who === "owner" && job.status === "submitted";
  part(element, "wish").hidden = !withNote;
  part(element, "buttons").append(...steps.map(([words, status], at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = at === 0 && status !== "cancelled" ? "primary small" : "small";
    button.textContent = words;
    const body = () => (withNote && status === CHANGES && note.value.trim() ? { status, note: note.value.trim() } : { status });
    button.addEventListener("click", () => attempt(element, async () => {
      await api.send("PATCH", `/api/jobs/${job.id}/status`, body()).finally(after);
    }, button));
    return button;
  }));
  return element;
}
