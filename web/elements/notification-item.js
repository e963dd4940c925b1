/** One notification, or announcement, as the center shows it: what it says, and what may be done with it. */

import { actionButtons, h, iconButton, iconOf, renew, set } from "./base-element.js";
import { wordsOf } from "./texts.js";
import { reasons } from "./delivery-reasons.js";

/** @param {any} client @param {any} item @returns {Promise<any>} read, or unread again */
export const flipRead = (client, { id, readAt }) => (readAt ? client.unread(id) : client.read(id));
/** @param {any} client @param {any} item @returns {Promise<any>} put away, or back */
export const flipArchived = (client, { id, archivedAt }) => (archivedAt ? client.unarchive(id) : client.archive(id));

/** An empty one. @param {(item: any) => void} follow a click on it, but for its buttons */
export function article(follow) {
  const element = h(
    "article",
    { part: "item", "data-testid": "notification", tabIndex: -1 },
    h("i", { className: "emoji", "aria-hidden": "true" }),
    h(
      "div",
      {},
      h("a", { className: "title", part: "title" }),
      h("p", { className: "what", part: "text" }),
      h("small", {}, h("time"), h("span", { className: "mark" })),
      h("p", { className: "why soft", part: "why", role: "status", hidden: true }),
      h("div", { className: "actions" }),
    ),
    h("div", { className: "tools" }),
  );
  element.onclick = (event) => {
    if (event.target.closest("button")) return;
    event.preventDefault();
    follow(element.item);
  };
  return element;
}

/** Let it say what the item says now. @param {any} center @param {HTMLElement} element @param {any} item */
export function fill(center, element, item) {
  const { client, language, words } = center;
  const at = (selector) => element.querySelector(selector);
  const { title, body } = wordsOf(item, language);
  const unread = !item.readAt && !item.archivedAt;
  set(element, { className: unread ? (item.seenAt ? "unread" : "unread new") : "" });
  set(at("i"), { textContent: iconOf(item) });
  set(at("a"), { textContent: item.count > 1 ? `${title} (${item.count}×)` : title, tabIndex: -1 });
  if (item.url) set(at("a"), { href: new URL(item.url, client.url || location.href).href });
  set(at(".what"), { textContent: body, hidden: !body });
  set(at("time"), { dateTime: item.createdAt, title: new Date(item.createdAt).toLocaleString(language) });
  // Only what is urgent or of high priority is marked.
  const mark = (item.type === "announcement" ? words.announcement : words[item.priority]) ?? "";
  set(at(".mark"), { textContent: mark && ` · ${mark}` });
  renew(element, [unread, item.archivedAt, item.actions], () => {
    at(".actions").replaceChildren(...actionButtons(center, item));
    if (item.type === "announcement") return;
    at(".tools").replaceChildren(
      iconButton("check", unread ? words.markRead : words.markUnread, () => center.attempt(flipRead(client, item)), {
        hidden: Boolean(item.archivedAt),
      }),
      iconButton("archive", item.archivedAt ? words.unarchive : words.archive, () => center.attempt(flipArchived(client, item))),
      iconButton("why", words.why, () => center.attempt(why(center, item.id, at(".why")))),
    );
  });
}

/** By which ways it came, and why not by the others; said on demand. */
async function why({ client, language, words }, id, box) {
  if (!box.hidden) return set(box, { hidden: true });
  const delivery = await client.request("GET", `/api/notifications/${id}/delivery`);
  return set(box, { textContent: reasons(delivery, words, language), hidden: false });
}
