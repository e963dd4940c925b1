/** The messages page: the chat panel. */

import { h } from "../elements/base-element.js";

/** @param {any} app @param {string} [id] */
export function messagesPage(app, id) {
  const params = new URLSearchParams(location.search);
  const panel = h("chat-panel", { conversation: id ?? null, recipient: id ? null : params.get("to"), name: params.get("name") });
  if (!id && params.get("to"))
    findDirect(app, params.get("to")).then((found) => found && panel.isConnected && app.go(`/messages/${found}`, true));
  panel.addEventListener("hub-conversation", ({ detail }) =>
    history.replaceState(null, "", detail.id ? `/messages/${detail.id}` : "/messages"),
  );
  return { title: "Messages", element: h("div", { className: "chatpage" }, h("h1", { textContent: "Messages" }), panel) };
}

/** The id of the direct conversation with a user, if there is one. */
async function findDirect(app, userId) {
  const { items } = await app.request("GET", "/api/conversations?limit=100").catch(() => ({ items: [] }));
  return items.find((each) => each.kind === "direct" && each.members.some((member) => member.id === userId))?.id;
}
