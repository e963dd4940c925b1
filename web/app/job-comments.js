/** The questions and answers of a job. */

import { h, set, renderList } from "../elements/base-element.js";
import { avatar, field, form, moreButton, when } from "./dom.js";

/** @param {any} app @param {string} id of the job */
export function createComments(app, id) {
  const live = app.client.live(`/api/jobs/${id}/comments?limit=50`, [`job/${id}`]);
  const list = h("ul", { className: "comments" });
  const empty = h("p", { className: "soft", textContent: "Nobody has asked anything yet." });
  const write = app.user
    ? form(
        { className: "plain" },
        async ({ text }, element) => {
          await app.request("POST", `/api/jobs/${id}/comments`, { text });
          element.reset();
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
    moreButton(app, live, "Earlier questions and answers"),
    list,
    write,
  );
  app.watch(live, ({ data, error }) => {
    set(box, { hidden: error?.status === 404 });
    set(empty, { hidden: !data || data.items.length > 0 });
    renderList(
      list,
      [...(data?.items ?? [])].reverse(),
      (item) =>
        h(
          "li",
          { "data-testid": "comment" },
          avatar(item.author.name, "small"),
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
