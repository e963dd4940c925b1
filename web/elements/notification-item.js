/** One notification or announcement in the center, with its buttons. */

import { actionButtons, h, iconButton, iconOf, renderIfChanged, set } from "./base-element.js";
import { notificationText } from "./texts.js";
import { deliveryReasons } from "./delivery-reasons.js";

/** @param {any} client @param {any} item @returns {Promise<any>} */
export const toggleRead = (client, { id, readAt }) => (readAt ? client.unread(id) : client.read(id));
/** @param {any} client @param {any} item @returns {Promise<any>} */
export const toggleArchived = (client, { id, archivedAt }) => (archivedAt ? client.unarchive(id) : client.archive(id));

/** Create an empty item. @param {(item: any) => void} open called on a click, except on its buttons */
export function createItem(open) {
  const element = h(
    "article",
    { part: "item", "data-testid": "notification", tabIndex: -1 },
    h("i", { className: "emoji", "aria-hidden": "true" }),
    h(
      "div",
      {},
      h("a", { className: "title", part: "title" }),
      h("p", { className: "excerpt", part: "text" }),
      h("small", {}, h("time"), h("span", { className: "priority" })),
      h("p", { className: "reasons soft", part: "why", role: "status", hidden: true }),
      h("div", { className: "actions" }),
    ),
    h("div", { className: "tools" }),
  );
  element.onclick = (event) => {
    if (event.target.closest("button")) return;
    event.preventDefault();
    open(element.item);
  };
  return element;
}

/** Show an item. @param {any} center @param {HTMLElement} element @param {any} item */
export function fillItem(center, element, item) {
  const { client, language, texts } = center;
  const at = (selector) => element.querySelector(selector);
  const { title, body } = notificationText(item, language);
  const unread = !item.readAt && !item.archivedAt;
  set(element, { className: unread ? (item.seenAt ? "unread" : "unread new") : "" });
  set(at("i"), { textContent: iconOf(item) });
  set(at("a"), { textContent: item.count > 1 ? `${title} (${item.count}×)` : title, tabIndex: -1 });
  if (item.url) set(at("a"), { href: new URL(item.url, client.url || location.href).href });
  set(at(".excerpt"), { textContent: body, hidden: !body });
  set(at("time"), { dateTime: item.createdAt, title: new Date(item.createdAt).toLocaleString(language) });
  // Normal and low priority have no label.
  const label = (item.type === "announcement" ? texts.announcement : texts[item.priority]) ?? "";
  set(at(".priority"), { textContent: label && ` · ${label}` });
  renderIfChanged(element, [unread, item.archivedAt, item.actions], () => {
    at(".actions").replaceChildren(...actionButtons(center, item));
    if (item.type === "announcement") return;
    at(".tools").replaceChildren(
      iconButton("check", unread ? texts.markRead : texts.markUnread, () => center.attempt(toggleRead(client, item)), {
        hidden: Boolean(item.archivedAt),
      }),
      iconButton("archive", item.archivedAt ? texts.unarchive : texts.archive, () => center.attempt(toggleArchived(client, item))),
      iconButton("why", texts.why, () => center.attempt(toggleReasons(center, item.id, at(".reasons")))),
    );
  });
}

/** Show or hide how it was delivered. */
async function toggleReasons({ client, language, texts }, id, box) {
  if (!box.hidden) return set(box, { hidden: true });
  const delivery = await client.request("GET", `/api/notifications/${id}/delivery`);
  return set(box, { textContent: deliveryReasons(delivery, texts, language), hidden: false });
}
