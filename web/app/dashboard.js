/** The dashboard: what needs the user's attention, and the jobs they posted or bid on. */

import { h, set, renderList } from "../elements/base-element.js";
import { fillRow, createRow } from "./find-work.js";
import { chip, counted, link, money, moreButton, nothing, skeleton } from "./dom.js";

/** @param {any} app */
export const dashboardPage = (app) => (app.user.role === "freelancer" ? freelancer(app) : client(app));

function tiles(values) {
  return h(
    "dl",
    { className: "tiles" },
    ...values.map(([label, value]) => h("div", {}, h("dt", { textContent: label }), h("dd", { textContent: value }))),
  );
}

/** The greeting and the most frequent action. */
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
    renderList(urgentList, waiting, createRow, (row, job) => {
      fillRow(row, job, app);
      set(row.querySelector(".price small"), {
        textContent: job.status === "submitted" ? "Look and pay" : `${counted(job.bidCount, "bid")} to read`,
      });
    });
    const rest = jobs.filter((job) => !waiting.includes(job));
    renderList(list, rest, createRow, (row, job) => fillRow(row, job, app));
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
  const render = () => {
    const { data, loading } = bids.getSnapshot();
    const items = data?.items ?? [];
    for (const bid of items.slice(0, 30)) if (!jobs.has(bid.gigId)) loadJob(bid.gigId);
    const withJobs = items.map((bid) => ({ ...bid, job: jobs.get(bid.gigId)?.getSnapshot().data }));
    const hired = withJobs.filter((bid) => bid.status === "hired");
    const active = hired.filter((bid) => !bid.job || ["assigned", "in_progress", "submitted"].includes(bid.job.status));
    const waiting = withJobs.filter((bid) => bid.status === "pending");
    const balance = wallet.getSnapshot().data;
    figures.replaceChildren(
      tiles([
        ["Waiting bids", String(waiting.length)],
        ["In hand", String(active.length)],
        ["Done", String(hired.length - active.length)],
        ["Available", balance ? money(balance.available, balance.currency) : "–"],
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
  const loadJob = (id) => {
    const live = app.client.live(`/api/jobs/${id}`, [`job/${id}`]);
    jobs.set(id, live);
    app.onLeave(live.subscribe(render));
  };
  app.onLeave(wallet.subscribe(render));
  app.watch(bids, render);
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
  renderList(
    part.lastChild,
    bids,
    // The link element is kept, because it may have the focus.
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
