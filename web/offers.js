/** The bids of a job, as its owner reads them and hires one. */

import { h, set, showAll } from "./element.js";
import { actButton, chip, face, link, money, when } from "./ui.js";

/** @param {HTMLElement} box @param {HTMLElement} list @param {any} job @param {any[]} bids @param {any} context `{app, again}` */
export function drawOffers(box, list, job, bids, { app, again }) {
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
