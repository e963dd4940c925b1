/** One job: what it is, where it stands, who bids, what one may do with it, and what people ask about it. */

import { h, set, showAll } from "./element.js";
import { jobForm } from "./post.js";
import {
  actButton,
  ask,
  button,
  cents,
  chip,
  face,
  field,
  form,
  link,
  money,
  nothing,
  sentence,
  skeleton,
  skillList,
  when,
} from "./ui.js";

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
  const page = h("div", { className: "page two" }, head, h("div", { className: "stack" }, about, offers, comments(app, id)), side);
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
    drawHead(head, job);
    drawAbout(about, job, context);
    const all = bids?.getSnapshot().data?.items ?? [];
    drawSide(side, job, all, context);
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
      button("Edit", () => {
        context.editing = true;
        const close = () => {
          context.editing = false;
          context.shown = "";
          return context.again();
        };
        about.replaceChildren(
          h("h2", { textContent: "Edit the job" }),
          jobForm(app, job, close, [button("Cancel", close, "quiet")]),
        );
      }),
    ),
  );
}

function drawSide(side, job, bids, context) {
  const { app, id, again } = context;
  const { user } = app;
  const owner = user?.id === job.owner.id;
  const own = !owner && bids.find((bid) => bid.freelancer.id === user?.id && bid.status !== "withdrawn");
  const mine = own && own.id === job.hiredBidId;
  const key = JSON.stringify([job.status, job.budget, job.bidCount, own?.id, own?.status, job.hiredBidId, user?.id]);
  if (side.key === key) return;
  side.key = key;
  const hired = bids.find((bid) => bid.id === job.hiredBidId);
  const price = hired ? hired.price : job.budget;
  const to = (status, more) => async () => {
    await app.request("PATCH", `/api/jobs/${id}/status`, { status, ...more });
    await again();
  };
  const box = h(
    "section",
    { className: "card" },
    h(
      "p",
      { className: "amount" },
      h("b", { textContent: money(price, job.currency) }),
      h("small", { textContent: hired ? "agreed" : "budget" }),
    ),
    h(
      "dl",
      { className: "pairs" },
      h("dt", { textContent: "Bids" }),
      h("dd", { textContent: String(job.bidCount) }),
      ...(job.expiresAt
        ? [
            h("dt", { textContent: "Open until" }),
            h("dd", { textContent: new Date(job.expiresAt).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }) }),
          ]
        : []),
    ),
  );
  side.replaceChildren(box);
  if (!user) box.append(link("/sign-in", "Sign in to bid", { className: "button primary" }));
  if (owner) ownerActs(box, job, price, to, context);
  else if (mine) hiredActs(box, job, to);
  else if (user?.role === "freelancer" && job.status === "open") {
    if (own?.status === "pending") box.append(ownBid(own, job, context));
    else {
      if (job.instantAccept)
        box.append(
          actButton(`Take it for ${money(job.budget, job.currency)}`, to("in_progress"), "primary", { "data-testid": "take" }),
        );
      box.append(bidForm(job, context));
    }
  } else if (own) box.append(ownBid(own, job, context));
  if (user && !owner)
    box.append(
      link(`/messages?to=${job.owner.id}&name=${encodeURIComponent(job.owner.name)}`, `Message ${job.owner.name}`, {
        className: "button",
      }),
    );
  if (owner && hired)
    box.append(
      link(
        `/messages?to=${hired.freelancer.id}&name=${encodeURIComponent(hired.freelancer.name)}`,
        `Message ${hired.freelancer.name}`,
        { className: "button" },
      ),
    );
}

function ownerActs(box, job, price, to, { app, id, again }) {
  if (job.status === "submitted") {
    box.append(
      h("p", { className: "notice", textContent: "The work was submitted. Look at it, then pay or ask for changes." }),
      actButton(`Approve and pay ${money(price, job.currency)}`, to("completed"), "primary"),
      form(
        { className: "plain" },
        ({ note }) => to("in_progress", note ? { note } : {})(),
        "Ask for changes",
        field("What should change", h("textarea", { name: "note", rows: 2, maxLength: 1000 })),
      ),
    );
  }
  if (job.status === "assigned") box.append(h("p", { className: "soft", textContent: "Waiting for the freelancer to accept." }));
  if (job.status === "in_progress")
    box.append(h("p", { className: "soft", textContent: "Work is under way. You will hear when it is submitted." }));
  if (job.status === "completed") box.append(h("p", { className: "notice", textContent: "Done and paid." }));
  if (["open", "assigned"].includes(job.status)) {
    box.append(
      actButton(
        "Cancel the job",
        async () => (await ask("Cancel this job? What is held for it comes back to you.", "Cancel the job")) && to("cancelled")(),
        "quiet bad",
      ),
    );
  }
  if (job.status === "open")
    box.append(
      actButton(
        "Delete",
        async () => {
          if (!(await ask("Delete this job? It disappears from every list.", "Delete it"))) return;
          await app.request("DELETE", `/api/jobs/${id}`);
          app.go("/work");
        },
        "quiet bad",
      ),
    );
}

function hiredActs(box, job, to) {
  const says = {
    assigned: "You are hired. Accept to start.",
    in_progress: "You are on it. Submit when it is done.",
    submitted: "Submitted. The client is looking at it.",
    completed: "Done and paid.",
  }[job.status];
  if (says) box.append(h("p", { className: "notice", textContent: says }));
  if (job.status === "assigned") box.append(actButton("Accept the job", to("in_progress"), "primary"));
  if (job.status === "in_progress") box.append(actButton("Submit the work", to("submitted"), "primary"));
  if (["assigned", "in_progress", "submitted"].includes(job.status)) {
    box.append(
      actButton(
        "Give the job back",
        async () => (await ask("Give this job back? The client is refunded.", "Give it back")) && to("cancelled")(),
        "quiet bad",
      ),
    );
  }
}

function bidForm(job, { app, id, again }) {
  return form(
    { className: "plain", "data-testid": "bid-form" },
    async ({ price, message }) => {
      await app.request("POST", `/api/jobs/${id}/bids`, { price: cents(price), message });
      await again();
    },
    "Send bid",
    h("h2", { textContent: "Place a bid" }),
    field(
      "Price in dollars",
      h("input", {
        name: "price",
        type: "number",
        inputMode: "decimal",
        min: "0.01",
        step: "0.01",
        required: true,
        defaultValue: String(job.budget / 100),
      }),
    ),
    field(
      "Message",
      h("textarea", { name: "message", rows: 4, maxLength: 5000, required: true, placeholder: "How you would do it, and by when" }),
    ),
  );
}

function ownBid(bid, job, { app, again }) {
  return h(
    "div",
    { className: "own", "data-testid": "own-bid" },
    h("p", {}, chip(bid.status), ` Your bid: ${money(bid.price, job.currency)}`),
    h("p", { className: "prose soft", textContent: bid.message }),
    bid.status === "pending"
      ? actButton(
          "Withdraw",
          async () => {
            await app.request("DELETE", `/api/bids/${bid.id}`);
            await again();
          },
          "quiet",
        )
      : "",
  );
}

function drawOffers(box, list, job, bids, { app, again }) {
  const owner = app.user?.id === job.owner.id;
  set(box, { hidden: !owner });
  if (!owner) return;
  if (!list.parentNode)
    box.append(
      h("h2", { textContent: "Bids" }),
      list,
      h("p", { className: "soft", textContent: "No bids yet. They appear here as they come." }),
    );
  set(box.lastChild, { hidden: bids.length > 0 });
  const best = Math.min(...bids.filter((bid) => bid.status === "pending").map((bid) => bid.price));
  showAll(
    list,
    bids.map((bid) => ({
      ...bid,
      open: job.status === "open",
      best: bids.length > 1 && bid.price === best && job.status === "open",
    })),
    () => h("li", { className: "bid", "data-testid": "bid" }),
    (element, bid) => {
      element.replaceChildren(
        face(bid.freelancer.name),
        h(
          "div",
          { className: "said" },
          h(
            "p",
            { className: "between" },
            h(
              "span",
              {},
              link(`/people/${bid.freelancer.id}`, bid.freelancer.name, { className: "name" }),
              h("small", {}, " · ", when(bid.createdAt)),
            ),
            h("b", { className: "figure", textContent: money(bid.price, job.currency) }),
          ),
          h("p", { className: "prose", textContent: bid.message }),
          h(
            "div",
            { className: "row" },
            bid.status === "pending" && bid.open
              ? actButton(
                  "Hire",
                  async () => {
                    // What is true now is shown before what went wrong is said.
                    await app.request("PATCH", `/api/bids/${bid.id}/hire`).finally(again);
                  },
                  "primary small",
                  { ariaLabel: `Hire ${bid.freelancer.name}`, "data-testid": "hire" },
                )
              : chip(bid.status),
            bid.best ? h("small", { className: "best", textContent: "Lowest bid" }) : "",
          ),
        ),
      );
    },
  );
}

function comments(app, id) {
  const live = app.client.live(`/api/jobs/${id}/comments?limit=50`, [`job/${id}`]);
  const list = h("ul", { className: "comments" });
  const empty = h("p", { className: "soft" });
  const write = app.user
    ? form(
        { className: "plain" },
        async ({ text }, made) => {
          await app.request("POST", `/api/jobs/${id}/comments`, { text });
          made.reset();
          await live.refetch();
        },
        "Post",
        field("Ask or answer", h("textarea", { name: "text", rows: 2, maxLength: 2000, required: true })),
      )
    : "";
  const box = h(
    "section",
    { className: "card", ariaLabel: "Questions" },
    h("h2", { textContent: "Questions and answers" }),
    empty,
    list,
    write,
  );
  app.watch(live, ({ data, error }) => {
    set(box, { hidden: error?.status === 404 });
    set(empty, {
      textContent: data?.items.length ? "" : data ? "Nobody has asked anything yet." : "",
      hidden: Boolean(data?.items.length),
    });
    showAll(
      list,
      [...(data?.items ?? [])].reverse(),
      (item) =>
        h(
          "li",
          { "data-testid": "comment" },
          face(item.author.name, "small"),
          h(
            "div",
            {},
            h("p", {}, h("b", { textContent: item.author.name }), h("small", {}, " · ", when(item.createdAt))),
            h("p", { className: "prose", textContent: item.text }),
          ),
        ),
      () => {},
    );
  });
  return box;
}
