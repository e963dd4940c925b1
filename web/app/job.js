/** The page of a job: description, progress, actions, bids and comments. */

import { renderActions } from "./job-actions.js";
import { createComments } from "./job-comments.js";
import { h, renderIfChanged, set, textButton } from "../elements/base-element.js";
import { renderBids } from "./job-bids.js";
import { jobForm } from "./job-form.js";
import { chip, link, moreButton, nothing, sentence, skeleton, skillList, when } from "./dom.js";

const STEPS = [
  ["open", "Posted"],
  ["assigned", "Hired"],
  ["in_progress", "In progress"],
  ["submitted", "Submitted"],
  ["completed", "Paid"],
];
const CLOSED = { cancelled: "This job was cancelled.", expired: "This job expired before anybody was hired." };

/** @param {any} app @param {string} id */
export function jobPage(app, id) {
  const live = app.client.live(`/api/jobs/${id}`, [`job/${id}`]);
  const bids =
    app.user && app.user.role !== "admin" ? app.client.live(`/api/jobs/${id}/bids?limit=100`, [`job/${id}`, "my-jobs"]) : null;
  const head = h("div", { className: "jobhead" });
  const about = h("div", { className: "card" });
  const side = h("aside", { className: "side", ariaLabel: "This job" });
  const bidBox = h("section", { className: "card", ariaLabel: "Bids", hidden: true });
  const bidList = h("ul", { className: "bids" });
  const moreBids = bids ? moreButton(app, bids, "More bids") : "";
  const page = h("div", { className: "page two" }, head, h("div", { className: "stack" }, about, bidBox, moreBids, createComments(app, id)), side);
  const refetch = () => Promise.all([live.refetch(), bids?.refetch()]);
  const context = { app, id, refetch, editing: false, shown: "" };
  const render = () => {
    const { data: job, error } = live.getSnapshot();
    if (!job) {
      head.replaceChildren(
        error
          ? nothing(
              error.status === 404 ? "This job is not here any more" : "The job could not be loaded",
              error.status === 404 ? "Its owner may have deleted it." : sentence(error),
              link("/jobs", "See the open jobs", { className: "button" }),
            )
          : skeleton(2),
      );
      for (const part of [about, side, bidBox]) set(part, { hidden: true });
      return;
    }
    for (const part of [about, side]) set(part, { hidden: false });
    app.rename(job.title);
    renderIfChanged(head, [job.status, job.title, job.owner, job.category, job.createdAt], () => renderHead(head, job));
    renderAbout(about, job, context);
    const all = bids?.getSnapshot().data?.items ?? [];
    renderActions(side, job, all, context);
    renderBids(bidBox, bidList, job, all, context);
  };
  if (bids) app.onLeave(bids.subscribe(render));
  app.watch(live, render);
  return { title: live.getSnapshot().data?.title ?? "Job", element: page };
}

function renderHead(head, job) {
  const current = STEPS.findIndex(([status]) => status === job.status);
  const steps =
    current < 0
      ? h("p", { className: "notice", textContent: CLOSED[job.status] ?? "" })
      : h(
          "ol",
          { className: "steps", ariaLabel: "Progress" },
          ...STEPS.map(([status, label], index) =>
            h(
              "li",
              {
                className: index < current || job.status === "completed" ? "past" : index === current ? "here" : "",
                ariaCurrent: index === current ? "step" : null,
              },
              h("span", { textContent: label, "data-status": status }),
            ),
          ),
        );
  head.replaceChildren(
    link("/jobs", "← All jobs", { className: "faint" }),
    h("h1", { textContent: job.title }),
    h(
      "p",
      { className: "facts" },
      chip(job.status),
      h("span", {}, "by ", link(`/people/${job.owner.id}`, job.owner.name)),
      job.category ? h("span", { textContent: job.category }) : "",
      h("span", {}, when(job.createdAt)),
    ),
    steps,
  );
}

function renderAbout(about, job, context) {
  const { app } = context;
  if (context.editing) return;
  if (context.shown === job.updatedAt + job.status) return;
  context.shown = job.updatedAt + job.status;
  about.replaceChildren(
    h("h2", { textContent: "What is to be done" }),
    h("p", { className: "prose", textContent: job.description }),
    job.skills.length ? skillList(job.skills) : "",
  );
  if (job.owner.id !== app.user?.id || job.status !== "open") return;
  about.append(
    h(
      "div",
      { className: "row" },
      textButton("Edit", () => {
        context.editing = true;
        const close = () => {
          context.editing = false;
          context.shown = "";
          return context.refetch();
        };
        about.replaceChildren(
          h("h2", { textContent: "Edit the job" }),
          jobForm(app, job, close, [textButton("Cancel", close, "quiet")]),
        );
      }),
    ),
  );
}
