/** The form to post and to edit a job. */

import { h } from "../elements/base-element.js";
import { CATEGORIES } from "./find-work.js";
import { cents, field, form, money, splitList } from "./dom.js";

/** @param {any} app */
export function postJob(app) {
  const available = h("p", { className: "soft" });
  app.watch(app.client.live("/api/wallet", ["wallet", "my-jobs"]), ({ data }) => {
    available.textContent = data
      ? `${money(data.available, data.currency)} available. The budget is held until the job is paid, cancelled or expires.`
      : "";
  });
  const element = jobForm(app, null, (job) => app.go(`/jobs/${job.id}`), []);
  return {
    title: "Post a job",
    element: h(
      "div",
      { className: "page narrow" },
      h("h1", { textContent: "Post a job" }),
      available,
      h("div", { className: "card" }, element),
    ),
  };
}

/** @param {any} app @param {any} job null for a new one @param {(job: any) => any} done @param {any[]} beside */
export function jobForm(app, job, done, beside) {
  const categories = h("datalist", { id: "categories" }, ...CATEGORIES.map((value) => h("option", { value })));
  return form(
    { className: "plain", beside },
    async (values) => {
      const { title, description, category } = values;
      const changes = {
        title,
        description,
        budget: cents(values.budget),
        category: category || null,
        skills: splitList(values.skills),
        expiresAt: values.expiresAt ? new Date(values.expiresAt).toISOString() : null,
        instantAccept: values.instantAccept === "on",
      };
      for (const name of ["category", "expiresAt"]) if (!job && changes[name] === null) delete changes[name];
      if (!job && !changes.instantAccept) delete changes.instantAccept;
      return done(await (job ? app.request("PATCH", `/api/jobs/${job.id}`, changes) : app.request("POST", "/api/jobs", changes)));
    },
    job ? "Save" : "Post job",
    field("Title", h("input", { name: "title", maxLength: 120, required: true, defaultValue: job?.title ?? "" })),
    field(
      "Description",
      h("textarea", { name: "description", rows: 6, maxLength: 10000, required: true, defaultValue: job?.description ?? "" }),
    ),
    h(
      "div",
      { className: "pair" },
      field(
        "Budget in dollars",
        h("input", {
          name: "budget",
          type: "number",
          inputMode: "decimal",
          min: "0.01",
          step: "0.01",
          required: true,
          defaultValue: job ? String(job.budget / 100) : "",
        }),
      ),
      field("Category", h("input", { name: "category", maxLength: 40, defaultValue: job?.category ?? "", list: "categories" })),
      categories,
    ),
    h(
      "div",
      { className: "pair" },
      field(
        "Skills, separated by commas",
        h("input", { name: "skills", maxLength: 600, placeholder: "design, python", defaultValue: job?.skills.join(", ") ?? "" }),
      ),
      field(
        "Open until (optional)",
        h("input", { name: "expiresAt", type: "datetime-local", defaultValue: local(job?.expiresAt) }),
      ),
    ),
    h(
      "label",
      { className: "line" },
      h("input", { type: "checkbox", name: "instantAccept", defaultChecked: Boolean(job?.instantAccept) }),
      "Instant accept: the first freelancer who takes it gets it, at the budget",
    ),
  );
}

/** @param {string | null | undefined} time RFC 3339 */
function local(time) {
  if (!time) return "";
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
