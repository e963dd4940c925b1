/** The bids of a job for its owner, with the button to hire. */

import { h, renderIfChanged, set, renderList } from "../elements/base-element.js";
import { actionButton, chip, avatar, link, money, refill, when } from "./dom.js";

/** @param {HTMLElement} box @param {HTMLElement} list @param {any} job @param {any[]} bids @param {any} context `{app, refetch}` */
export function renderBids(box, list, job, bids, context) {
  const owner = context.app.user?.id === job.owner.id;
  set(box, { hidden: !owner });
  if (!owner) return;
  if (!list.parentNode)
    box.append(
      h("h2", { textContent: "Bids" }),
      list,
      h("p", { className: "soft", textContent: "No bids yet. They appear here as they come." }),
    );
  set(box.lastChild, { hidden: bids.length > 0 });
  const open = job.status === "open";
  const lowest = Math.min(...bids.filter((bid) => bid.status === "pending").map((bid) => bid.price));
  renderList(
    list,
    bids.map((bid) => ({ ...bid, open, best: open && bids.length > 1 && bid.price === lowest })),
    createBid,
    (element, bid) => {
      const at = (selector) => element.querySelector(selector);
      set(at(".figure"), { textContent: money(bid.price, job.currency) });
      set(at(".prose"), { textContent: bid.message });
      set(at(".best"), { textContent: bid.best ? "Lowest bid" : "" });
      // The button is kept while it is shown, because it may have the focus.
      const actions = at(".actions");
      const canHire = open && bid.status === "pending";
      renderIfChanged(actions, [canHire, bid.status], () => refill(actions, canHire ? hire(bid, context) : chip(bid.status)));
    },
  );
}

function createBid({ freelancer, createdAt }) {
  const name = link(`/people/${freelancer.id}`, freelancer.name, { className: "name" });
  return h(
    "li",
    { className: "bid", "data-testid": "bid" },
    avatar(freelancer.name),
    h(
      "div",
      { className: "bid-text" },
      h(
        "p",
        { className: "between" },
        h("span", {}, name, h("small", {}, " · ", when(createdAt))),
        h("b", { className: "figure" }),
      ),
      h("p", { className: "prose" }),
      h("div", { className: "row" }, h("div", { className: "actions" }), h("small", { className: "best" })),
    ),
  );
}

const hire = ({ id, freelancer }, { app, refetch }) =>
  actionButton(
    "Hire",
    async () => {
      // The current state is shown before an error.
      await app.request("PATCH", `/api/bids/${id}/hire`).finally(refetch);
    },
    "primary small",
    { ariaLabel: `Hire ${freelancer.name}`, "data-testid": "hire" },
  );
