/** Messages: the chat panel, filling the page. */

import { h } from "../elements/base-element.js";

/** @param {any} app @param {string} [id] */
export function messagesPage(app, id) {
  const asked = new URLSearchParams(location.search);
  const panel = h("chat-panel", { conversation: id ?? null, recipient: id ? null : asked.get("to"), name: asked.get("name") });
  if (!id && asked.get("to"))
    known(app, asked.get("to")).then((found) => found && panel.isConnected && app.go(`/messages/${found}`, true));
  panel.addEventListener("hub-conversation", ({ detail }) =>
    history.replaceState(null, "", detail.id ? `/messages/${detail.id}` : "/messages"),
  );
  return { title: "Messages", element: h("div", { className: "chatpage" }, h("h1", { textContent: "Messages" }), panel) };
}

/** The conversation one already has with somebody. */
async function known(app, userId) {
  const { items } = await app.request("GET", "/api/conversations?limit=100").catch(() => ({ items: [] }));
  return items.find((one) => one.kind === "direct" && one.members.some((member) => member.id === userId))?.id;
}
