/** One job: what it is, where it stands, and beside it what one may do, who bids, and what people ask. */

import { drawActs } from "./job-actions.js";
import { comments } from "./job-comments.js";
import { h, renew, set, textButton } from "../elements/base-element.js";
import { drawOffers } from "./job-bids.js";
import { jobForm } from "./job-form.js";
import { chip, link, moreButton, nothing, sentence, skeleton, skillList, when } from "./dom.js";

const STEPS = [
  ["open", "Posted"],
  ["assigned", "Hired"],
  ["in_progress", "In progress"],
  ["submitted", "Submitted"],
  ["completed", "Paid"],
];
const OVER = { cancelled: "This job was cancelled.", expired: "This job expired before anybody was hired." };

/** @param {any} app @param {string} id */
export function jobPage(app, id) {
  const live = app.client.live(`/api/jobs/${id}`, [`job/${id}`]);
  const bids =
    app.user && app.user.role !== "admin" ? app.client.live(`/api/jobs/${id}/bids?limit=100`, [`job/${id}`, "my-jobs"]) : null;
  const head = h("div", { className: "jobhead" });
  const about = h("div", { className: "card" });
  const side = h("aside", { className: "side", ariaLabel: "This job" });
  const offers = h("section", { className: "card", ariaLabel: "Bids", hidden: true });
  const offerList = h("ul", { className: "bids" });
  const moreBids = bids ? moreButton(app, bids, "More bids") : "";
  const page = h("div", { className: "page two" }, head, h("div", { className: "stack" }, about, offers, moreBids, comments(app, id)), side);
  const again = () => Promise.all([live.refetch(), bids?.refetch()]);
  const context = { app, id, again, editing: false, shown: "" };
  const draw = () => {
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
      for (const part of [about, side, offers]) set(part, { hidden: true });
      return;
    }
    for (const part of [about, side]) set(part, { hidden: false });
    app.rename(job.title);
    renew(head, [job.status, job.title, job.owner, job.category, job.createdAt], () => drawHead(head, job));
    drawAbout(about, job, context);
    const all = bids?.getSnapshot().data?.items ?? [];
    drawActs(side, job, all, context);
    drawOffers(offers, offerList, job, all, context);
  };
  if (bids) app.end(bids.subscribe(draw));
  app.watch(live, draw);
  return { title: live.getSnapshot().data?.title ?? "Job", element: page };
}

function drawHead(head, job) {
  const at = STEPS.findIndex(([status]) => status === job.status);
  const steps =
    at < 0
      ? h("p", { className: "notice", textContent: OVER[job.status] ?? "" })
      : h(
          "ol",
          { className: "steps", ariaLabel: "Progress" },
          ...STEPS.map(([status, label], index) =>
            h(
              "li",
              {
                className: index < at || job.status === "completed" ? "past" : index === at ? "here" : "",
                ariaCurrent: index === at ? "step" : null,
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

function drawAbout(about, job, context) {
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
          return context.again();
        };
        about.replaceChildren(
          h("h2", { textContent: "Edit the job" }),
          jobForm(app, job, close, [textButton("Cancel", close, "quiet")]),
        );
      }),
    ),
  );
}
