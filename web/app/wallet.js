/** The wallet: the available and held amounts, the entries, and withdrawal. */

import { h, renderIfChanged, set, renderList } from "../elements/base-element.js";
import { cents, field, form, link, money, moreButton, nothing, skeleton } from "./dom.js";

const KINDS = {
  deposit: "Deposit",
  hold: "Held for a job",
  release: "Released",
  payment: "Payment",
  refund: "Refund",
  withdrawal: "Withdrawal",
};

/** @param {any} app */
export function walletPage(app) {
  const wallet = app.client.live("/api/wallet", ["wallet", "my-jobs"]);
  const entries = app.client.live("/api/wallet/entries?limit=50", ["wallet", "my-jobs"]);
  const figures = h("dl", { className: "tiles" });
  const list = h("ul", { className: "card flush rows", "data-testid": "entries" });
  const state = h("div");
  let currency = "USD";
  const render = () => {
    const { data, loading } = entries.getSnapshot();
    const items = data?.items ?? [];
    renderList(
      list,
      // The currency may be loaded after the entries: every row is updated.
      items.map((entry) => ({ ...entry })),
      () => h("li", {}),
      (row, entry) =>
        renderIfChanged(row, currency, () =>
          row.replaceChildren(
            h(
              "span",
              {},
              h("b", { textContent: KINDS[entry.kind] ?? entry.kind }),
              h(
                "small",
                {},
                new Date(entry.createdAt).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }),
                entry.jobId ? " · " : "",
                entry.jobId ? link(`/jobs/${entry.jobId}`, "job") : "",
              ),
            ),
            h("b", {
              className: `figure ${entry.amount > 0 ? "plus" : ""}`,
              textContent: `${entry.amount > 0 ? "+" : "−"}${money(Math.abs(entry.amount), currency)}`,
            }),
            h("small", { className: "figure", textContent: money(entry.balance, currency) }),
          ),
        ),
    );
    set(list, { hidden: !items.length });
    state.replaceChildren(
      items.length
        ? ""
        : loading
          ? skeleton(3)
          : nothing("Nothing has moved yet", "Deposits, payments and what is held for jobs appear here."),
    );
  };
  app.watch(wallet, ({ data }) => {
    if (data) currency = data.currency;
    figures.replaceChildren(
      ...[
        ["Available", data?.available],
        ["Held for your jobs", data?.held],
      ].map(([label, value]) =>
        h("div", {}, h("dt", { textContent: label }), h("dd", { textContent: value === undefined ? "–" : money(value, currency) })),
      ),
    );
    render();
  });
  app.onLeave(entries.subscribe(render));
  const out = form(
    { className: "plain card" },
    async ({ amount }, element) => {
      await app.request("POST", "/api/wallet/withdrawals", { amount: cents(amount) });
      element.reset();
      await Promise.all([wallet.refetch(), entries.refetch()]);
    },
    "Withdraw",
    h("h2", { textContent: "Take money out" }),
    field(
      "Amount in dollars",
      h("input", { name: "amount", type: "number", inputMode: "decimal", min: "0.01", step: "0.01", required: true }),
    ),
  );
  return {
    title: "Wallet",
    element: h(
      "div",
      { className: "page two wallet" },
      h("div", { className: "jobhead" }, h("h1", { textContent: "Wallet" }), figures),
      h("div", { className: "stack" }, h("h2", { textContent: "Statement" }), state, list, moreButton(app, entries, "Earlier entries")),
      h("aside", { className: "side", ariaLabel: "Take money out" }, out),
    ),
  };
}
