/** The bids of a job, as its owner reads them and hires one. */

import { h, renew, set, showAll } from "../elements/base-element.js";
import { actButton, chip, face, link, money, refill, when } from "./dom.js";

/** @param {HTMLElement} box @param {HTMLElement} list @param {any} job @param {any[]} bids @param {any} context `{app, again}` */
export function drawOffers(box, list, job, bids, context) {
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
  showAll(
    list,
    bids.map((bid) => ({ ...bid, open, best: open && bids.length > 1 && bid.price === lowest })),
    makeOffer,
    (element, bid) => {
      const at = (selector) => element.querySelector(selector);
      set(at(".figure"), { textContent: money(bid.price, job.currency) });
      set(at(".prose"), { textContent: bid.message });
      set(at(".best"), { textContent: bid.best ? "Lowest bid" : "" });
      // The button stays the one it was as long as there is one: somebody may have the focus on it.
      const acts = at(".acts");
      const free = open && bid.status === "pending";
      renew(acts, [free, bid.status], () => refill(acts, free ? hire(bid, context) : chip(bid.status)));
    },
  );
}

function makeOffer({ freelancer, createdAt }) {
  const name = link(`/people/${freelancer.id}`, freelancer.name, { className: "name" });
  return h(
    "li",
    { className: "bid", "data-testid": "bid" },
    face(freelancer.name),
    h(
      "div",
      { className: "said" },
      h(
        "p",
        { className: "between" },
        h("span", {}, name, h("small", {}, " · ", when(createdAt))),
        h("b", { className: "figure" }),
      ),
      h("p", { className: "prose" }),
      h("div", { className: "row" }, h("div", { className: "acts" }), h("small", { className: "best" })),
    ),
  );
}

const hire = ({ id, freelancer }, { app, again }) =>
  actButton(
    "Hire",
    async () => {
      // What is true now is shown before what went wrong is said.
      await app.request("PATCH", `/api/bids/${id}/hire`).finally(again);
    },
    "primary small",
    { ariaLabel: `Hire ${freelancer.name}`, "data-testid": "hire" },
  );
