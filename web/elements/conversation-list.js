/** The conversations of the chat element, with the presence of their members. */

import { h, iconButton, initials, renderList, set, textButton } from "./base-element.js";
import { ago } from "./texts.js";

const MAX_PRESENCE_IDS = 100;

export class ConversationList {
  #query = null;
  #presence = new Map();

  /** @param {import("./chat-panel.js").ChatPanel} panel */
  constructor(panel) {
    const { texts } = panel;
    this.panel = panel;
    this.list = h("ul", { part: "conversations" });
    this.more = textButton(texts.older, () => panel.attempt(this.#query.more()), "quiet");
    this.empty = h(
      "p",
      { className: "state soft", hidden: true },
      h("b", { textContent: texts.noConversations }),
      h("span", { textContent: texts.noConversationsHint }),
    );
    this.box = h(
      "nav",
      { ariaLabel: texts.conversations },
      h(
        "header",
        {},
        h("h2", { textContent: texts.conversations }),
        iconButton("plus", texts.newGroup, () => panel.group.show()),
      ),
      this.empty,
      this.list,
      this.more,
    );
  }

  /** Follow the user's conversations and the presence of others. @returns {Array<() => void>} unsubscribe */
  subscriptions() {
    const { client, group } = this.panel;
    this.#query = client.live("/api/conversations?limit=50", ["conversations"]);
    return [
      this.#query.subscribe(() => (this.render(), group.open && this.panel.renderConversation())),
      client.on("presence", ({ data }) => {
        this.#presence.set(data.userId, data.status);
        this.render();
      }),
    ];
  }

  /** The user's conversations, the last active first. */
  get #items() {
    return this.#query?.getSnapshot().data?.items ?? [];
  }

  /** The members of a conversation except the user. @param {any} conversation @returns {any[]} */
  othersIn({ members }) {
    return members.filter(({ id }) => id !== this.panel.userId);
  }

  /** @param {any} conversation @returns {string} its title, or the names of the others */
  nameOf(conversation) {
    const names = this.othersIn(conversation).map(({ name }) => name);
    return conversation.title || names.join(", ") || this.panel.texts.you;
  }

  /** @param {string | undefined} userId @returns {string | undefined} "online", "idle" or "offline", as far as it is known */
  presenceOf(userId) {
    return this.#presence.get(userId);
  }

  /** The users in the user's conversations, by name. @returns {any[]} */
  get knownUsers() {
    const users = new Map(this.#items.flatMap((item) => this.othersIn(item)).map((user) => [user.id, user]));
    return [...users.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  render() {
    const { data, error } = this.#query?.getSnapshot() ?? {};
    set(this.empty, { hidden: this.#items.length > 0 || (!data && !error) });
    set(this.more, { hidden: !data?.next });
    renderList(
      this.list,
      // Presence and selection are not part of the items: every element is updated.
      this.#items.map((item) => ({ ...item })),
      (item) => this.#createRow(item),
      (element, item) => this.#fillRow(element, item),
    );
    this.#loadPresence();
  }

  #createRow({ id }) {
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", onclick: () => this.panel.pick(id) },
        h("span", { className: "avatar", "aria-hidden": "true" }),
        h("b"),
        h("span", { className: "count" }),
        h("small"),
      ),
    );
  }

  #fillRow(element, item) {
    const [button] = element.children;
    const [avatar, name, count, last] = button.children;
    const others = this.othersIn(item);
    const selected = item.id === this.panel.getAttribute("conversation");
    set(button, { ariaCurrent: selected ? "true" : null });
    set(name, { textContent: this.nameOf(item) });
    set(avatar, {
      textContent: initials(this.nameOf(item)),
      className: `avatar ${others.length === 1 ? (this.presenceOf(others[0].id) ?? "") : ""}`,
    });
    set(count, { textContent: item.unread ? String(item.unread) : "" });
    set(last, { textContent: item.lastMessage ? this.#summary(item.lastMessage) : "" });
  }

  #summary({ sender, deletedAt, content, attachments, createdAt }) {
    const { texts, userId, language } = this.panel;
    const prefix = sender.id === userId ? `${texts.you}: ` : "";
    const text = deletedAt ? texts.deleted : content || `📎 ${attachments[0]?.name}`;
    return `${prefix}${text} · ${ago(createdAt, language)}`;
  }

  async #loadPresence() {
    const unknown = this.#items.flatMap((item) => this.othersIn(item)).filter(({ id }) => !this.#presence.has(id));
    if (!unknown.length) return;
    const ids = [...new Set(unknown.map(({ id }) => id))].slice(0, MAX_PRESENCE_IDS);
    for (const id of ids) this.#presence.set(id, "");
    const response = await this.panel.client.request("GET", `/api/presence?userIds=${ids.join(",")}`).catch(() => null);
    for (const { userId, status } of response?.items ?? []) this.#presence.set(userId, status);
    if (response) this.render();
  }
}
