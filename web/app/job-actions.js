/** The actions on a job for its owner, the hired freelancer, a bidder and an anonymous visitor. */

import { h, set } from "../elements/base-element.js";
import { actionButton, ask, cents, chip, field, form, link, messageLink, money, refill } from "./dom.js";

/** @param {HTMLElement} side @param {any} job @param {any[]} bids those that the user may see @param {any} context `{app, id, refetch}` */
export function renderActions(side, job, bids, context) {
  const { app, id, refetch } = context;
  const { user } = app;
  const owner = user?.id === job.owner.id;
  const own = !owner && bids.find((bid) => bid.freelancer.id === user?.id && bid.status !== "withdrawn");
  const mine = own && own.id === job.hiredBidId;
  const hired = bids.find((bid) => bid.id === job.hiredBidId);
  const key = JSON.stringify([job.status, job.budget, own?.id, own?.status, job.hiredBidId, hired?.id, user?.id]);
  // Another bid changes only the count, so that a bid that is being written is not lost.
  if (side.key === key) return set(side.querySelector("dd"), { textContent: String(job.bidCount) });
  side.key = key;
  const price = hired ? hired.price : job.budget;
  const to = (status, more) => async () => {
    await app.request("PATCH", `/api/jobs/${id}/status`, { status, ...more });
    await refetch();
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
  refill(side, box);
  if (!user) box.append(link("/sign-in", "Sign in to bid", { className: "button primary" }));
  if (owner) ownerActions(box, job, price, to, context);
  else if (mine) hiredActions(box, job, to);
  else if (user?.role === "freelancer" && job.status === "open") {
    if (own?.status === "pending") box.append(ownBid(own, job, context));
    else {
      if (job.instantAccept)
        box.append(
          actionButton(`Take it for ${money(job.budget, job.currency)}`, to("in_progress"), "primary", { "data-testid": "accept" }),
        );
      box.append(bidForm(job, context));
    }
  } else if (own) box.append(ownBid(own, job, context));
  if (user && !owner) box.append(messageLink(job.owner));
  if (owner && hired) box.append(messageLink(hired.freelancer));
  return undefined;
}

function ownerActions(box, job, price, to, { app, id, refetch }) {
  if (job.status === "submitted") {
    box.append(
      h("p", { className: "notice", textContent: "The work was submitted. Look at it, then pay or ask for changes." }),
      actionButton(`Approve and pay ${money(price, job.currency)}`, to("completed"), "primary"),
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
      actionButton(
        "Cancel the job",
        async () => (await ask("Cancel this job? What is held for it comes back to you.", "Cancel the job")) && to("cancelled")(),
        "quiet bad",
      ),
    );
  }
  if (job.status === "open")
    box.append(
      actionButton(
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

function hiredActions(box, job, to) {
  const text = {
    assigned: "You are hired. Accept to start.",
    in_progress: "You are on it. Submit when it is done.",
    submitted: "Submitted. The client is looking at it.",
    completed: "Done and paid.",
  }[job.status];
  if (text) box.append(h("p", { className: "notice", textContent: text }));
  if (job.status === "assigned") box.append(actionButton("Accept the job", to("in_progress"), "primary"));
  if (job.status === "in_progress") box.append(actionButton("Submit the work", to("submitted"), "primary"));
  if (["assigned", "in_progress", "submitted"].includes(job.status)) {
    box.append(
      actionButton(
        "Give the job back",
        async () => (await ask("Give this job back? The client is refunded.", "Give it back")) && to("cancelled")(),
        "quiet bad",
      ),
    );
  }
}

function bidForm(job, { app, id, refetch }) {
  return form(
    { className: "plain", "data-testid": "bid-form" },
    async ({ price, message }) => {
      await app.request("POST", `/api/jobs/${id}/bids`, { price: cents(price), message });
      await refetch();
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

function ownBid(bid, job, { app, refetch }) {
  return h(
    "div",
    { className: "own", "data-testid": "own-bid" },
    h("p", {}, chip(bid.status), ` Your bid: ${money(bid.price, job.currency)}`),
    h("p", { className: "prose soft", textContent: bid.message }),
    bid.status === "pending"
      ? actionButton(
          "Withdraw",
          async () => {
            await app.request("DELETE", `/api/bids/${bid.id}`);
            await refetch();
          },
          "quiet",
        )
      : "",
  );
}
