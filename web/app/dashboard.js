/** The dashboard: what needs one's attention, and everything one has posted or bid on. */

import { h, set, showAll } from "../elements/base-element.js";
import { fillRow, makeRow } from "./find-work.js";
import { chip, counted, link, money, moreButton, nothing, skeleton } from "./dom.js";

/** @param {any} app */
export const workPage = (app) => (app.user.role === "freelancer" ? freelancer(app) : client(app));

function tiles(values) {
  return h(
    "dl",
    { className: "tiles" },
    ...values.map(([label, value]) => h("div", {}, h("dt", { textContent: label }), h("dd", { textContent: value }))),
  );
}

/** Who this is for, and what most come here to do next. */
function head(app, href, label) {
  return h(
    "div",
    { className: "head" },
    h("h1", { textContent: `Good to see you, ${app.user.name.split(" ")[0]}` }),
    link(href, label, { className: "button primary" }),
  );
}

function client(app) {
  const live = app.client.live("/api/jobs?mine=true&limit=100", ["my-jobs", "jobs"]);
  const figures = h("div");
  const urgent = h("section", { className: "stack", hidden: true }, h("h2", { textContent: "Needs you" }));
  const urgentList = h("div", { className: "jobs card flush" });
  urgent.append(urgentList);
  const others = h("h2", { textContent: "Your other jobs", hidden: true });
  const list = h("div", { className: "jobs card flush", "data-testid": "jobs" });
  const state = h("div");
  app.watch(live, ({ data, loading }) => {
    const jobs = data?.items ?? [];
    const of = (...statuses) => jobs.filter((job) => statuses.includes(job.status));
    const open = of("open");
    const waiting = [...of("submitted"), ...open.filter((job) => job.bidCount > 0)];
    figures.replaceChildren(
      tiles([
        ["Open", String(open.length)],
        ["Bids to read", String(open.reduce((sum, job) => sum + job.bidCount, 0))],
        ["In work", String(of("assigned", "in_progress").length)],
        ["To approve", String(of("submitted").length)],
      ]),
    );
    set(urgent, { hidden: !waiting.length });
    showAll(urgentList, waiting, makeRow, (row, job) => {
      fillRow(row, job, app);
      set(row.querySelector(".price small"), {
        textContent: job.status === "submitted" ? "Look and pay" : `${counted(job.bidCount, "bid")} to read`,
      });
    });
    const rest = jobs.filter((job) => !waiting.includes(job));
    showAll(list, rest, makeRow, (row, job) => fillRow(row, job, app));
    set(list, { hidden: !rest.length });
    set(others, { hidden: !rest.length || !waiting.length });
    state.replaceChildren(
      jobs.length
        ? ""
        : loading
          ? skeleton(3)
          : nothing(
              "No jobs yet",
              "Post one, and freelancers hear of it at once.",
              link("/post", "Post a job", { className: "button primary" }),
            ),
    );
  });
  return {
    title: "Dashboard",
    element: h("div", { className: "page" }, head(app, "/post", "Post a job"), figures, urgent, others, state, list, moreButton(app, live, "Earlier jobs")),
  };
}

function freelancer(app) {
  const bids = app.client.live("/api/bids?mine=true&limit=50", ["my-jobs", "jobs"]);
  const wallet = app.client.live("/api/wallet", ["wallet"]);
  const figures = h("div");
  const parts = { work: section("Your work"), waiting: section("Waiting for an answer"), past: section("Earlier") };
  const state = h("div");
  const jobs = new Map();
  const draw = () => {
    const { data, loading } = bids.getSnapshot();
    const items = data?.items ?? [];
    for (const bid of items.slice(0, 30)) if (!jobs.has(bid.gigId)) follow(bid.gigId);
    const withJobs = items.map((bid) => ({ ...bid, job: jobs.get(bid.gigId)?.getSnapshot().data }));
    const hired = withJobs.filter((bid) => bid.status === "hired");
    const active = hired.filter((bid) => !bid.job || ["assigned", "in_progress", "submitted"].includes(bid.job.status));
    const waiting = withJobs.filter((bid) => bid.status === "pending");
    const purse = wallet.getSnapshot().data;
    figures.replaceChildren(
      tiles([
        ["Waiting bids", String(waiting.length)],
        ["In hand", String(active.length)],
        ["Done", String(hired.length - active.length)],
        ["Available", purse ? money(purse.available, purse.currency) : "–"],
      ]),
    );
    fill(parts.work, active);
    fill(parts.waiting, waiting);
    fill(
      parts.past,
      withJobs.filter((bid) => !active.includes(bid) && !waiting.includes(bid)),
    );
    state.replaceChildren(
      items.length
        ? ""
        : loading && !data
          ? skeleton(3)
          : nothing(
              "No bids yet",
              "Find a job that fits and send an offer.",
              link("/jobs", "Find work", { className: "button primary" }),
            ),
    );
  };
  const follow = (id) => {
    const live = app.client.live(`/api/jobs/${id}`, [`job/${id}`]);
    jobs.set(id, live);
    app.end(live.subscribe(draw));
  };
  app.end(wallet.subscribe(draw));
  app.watch(bids, draw);
  return {
    title: "Dashboard",
    element: h(
      "div",
      { className: "page" },
      head(app, "/jobs", "Find work"),
      figures,
      state,
      parts.work,
      parts.waiting,
      parts.past,
      moreButton(app, bids, "Earlier bids"),
    ),
  };
}

function section(title) {
  return h(
    "section",
    { className: "stack", hidden: true },
    h("h2", { textContent: title }),
    h("ul", { className: "card flush rows" }),
  );
}

function fill(part, bids) {
  set(part, { hidden: !bids.length });
  showAll(
    part.lastChild,
    bids,
    // The link stays the one it was, as in the list of jobs.
    ({ gigId }) =>
      h(
        "li",
        { "data-testid": "own-bid" },
        h("span", {}, link(`/jobs/${gigId}`), h("small")),
        h("span"),
        h("b", { className: "figure" }),
      ),
    (row, { job, status, price }) => {
      const [about, state, figure] = row.children;
      set(about.firstChild, { textContent: job?.title ?? "…" });
      set(about.lastChild, { textContent: job ? `${job.owner.name}, budget ${money(job.budget, job.currency)}` : "" });
      state.replaceWith(chip(status === "hired" && job ? job.status : status));
      set(figure, { textContent: money(price, job?.currency) });
    },
  );
}
