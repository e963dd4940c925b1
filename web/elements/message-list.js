/** The messages of a conversation with receipts, and the buttons of your own messages. */

import { h, renderIfChanged, set, renderList, textButton } from "./base-element.js";
import { timeOfDay } from "./texts.js";

export class MessageList {
  /** Whether the newest message is in view; then it stays in view when another arrives. */
  atEnd = true;

  /** @param {import("./chat-panel.js").ChatPanel} panel */
  constructor(panel) {
    this.panel = panel;
    this.log = h("div", {
      className: "log",
      role: "log",
      tabIndex: 0,
      ariaLabel: panel.texts.messages,
      part: "log",
      onscroll: () => this.#scrolled(),
      onkeydown: (event) => this.#key(event),
    });
  }

  /** @param {any} state of the conversation @param {string} userId @param {any[]} others */
  render({ messages, pending, older }, userId, others) {
    const sent = new Set(messages.map((message) => message.clientMessageId));
    const waiting = pending
      .filter((message) => !sent.has(message.clientMessageId))
      .map((message) => ({ ...message, id: message.clientMessageId, pending: true, sender: { id: userId } }));
    const shown = [...(older ? [{ id: "older", older: true }] : []), ...messages, ...waiting];
    const mine = messages.filter(({ sender }) => sender.id === userId);
    const receipts = this.#receipts(mine, others);
    renderList(
      this.log,
      shown.map((message, index) => ({
        ...message,
        mine: message.sender?.id === userId,
        first: shown[index - 1]?.sender?.id !== message.sender?.id,
        receipt: receipts.get(message.id),
      })),
      () => h("div", { role: "article", tabIndex: -1, "data-testid": "message" }),
      (element, message) => this.#fill(element, message),
    );
    if (this.atEnd) this.log.scrollTop = this.log.scrollHeight;
    /** The message that the arrow up edits. */
    this.newest = mine.findLast(({ deletedAt }) => !deletedAt);
  }

  /** Receipts stand at the last own message that all others have read, and at the last that was delivered to all. */
  #receipts(mine, others) {
    const { delivered, read, sent } = this.panel.texts;
    const receipts = new Map();
    for (const [field, text] of Object.entries({ deliveredUpTo: delivered, readUpTo: read })) {
      const last = mine.findLast(({ id }) => others.length && others.every((member) => member[field] >= id));
      if (last) receipts.set(last.id, text);
    }
    const newest = mine.at(-1);
    if (newest && !receipts.has(newest.id)) receipts.set(newest.id, sent);
    return receipts;
  }

  #fill(element, message) {
    const { panel } = this;
    const { texts } = panel;
    // The receipt changes without the rest.
    renderIfChanged(element, { ...message, receipt: 0 }, () => {
      if (message.older) return element.replaceChildren(textButton(texts.older, () => panel.attempt(panel.openConversation.more())));
      const { mine, first, pending, deletedAt } = message;
      set(element, {
        className: [mine && "mine", first && "first", pending && "pending", deletedAt && "deleted"].filter(Boolean).join(" "),
      });
      element.facts = h("small");
      return element.replaceChildren(
        h(
          "span",
          { className: "bubble" },
          deletedAt ? texts.deleted : message.content,
          ...(message.attachments ?? []).map((file) => this.#file(file)),
        ),
        h("div", {}, element.facts, ...this.#tools(message)),
      );
    });
    if (element.facts) set(element.facts, { textContent: this.#facts(message) });
  }

  #facts({ mine, first, pending, error, receipt, sender, createdAt, editedAt, deletedAt }) {
    const { texts, language } = this.panel;
    const at = timeOfDay(createdAt, language);
    const state = pending ? (error ? `${texts.failed}: ${error}` : texts.waiting) : receipt;
    return [first && !mine && sender.name, (first || receipt) && at, editedAt && !deletedAt && texts.edited, mine && state]
      .filter(Boolean)
      .join(" · ");
  }

  #tools({ id, mine, pending, error, deletedAt, content, clientMessageId }) {
    const { panel } = this;
    const { texts, client } = panel;
    if (error)
      return [
        textButton(texts.retry, () => client.resend(clientMessageId)),
        textButton(texts.discard, () => client.discard(clientMessageId)),
      ];
    if (!mine || pending || deletedAt) return [];
    return [
      h(
        "span",
        { className: "tools" },
        textButton(texts.edit, () => panel.composer.edit({ id, content })),
        panel.confirmButton(texts.delete, () => panel.openConversation.remove(id)),
      ),
    ];
  }

  #file({ id, name, type, size, thumbnail }) {
    const path = `${this.panel.client.url}/api/attachments/${id}`;
    return h(
      "a",
      { href: path, target: "_blank", rel: "noopener" },
      thumbnail || type?.startsWith("image/")
        ? h("img", { src: thumbnail ? `${path}?size=thumb` : path, alt: name, loading: "lazy" })
        : `📎 ${name} (${Math.ceil(size / 1024)} KB)`,
    );
  }

  #scrolled() {
    this.atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 48;
    if (this.atEnd) this.panel.openConversation?.read();
  }

  /** The arrow keys move the focus between messages; the tab key reaches the list once. */
  #key(event) {
    const focused = [...this.log.children].find((element) => element.contains(event.target));
    const next = {
      ArrowUp: focused ? focused.previousElementSibling : this.log.lastElementChild,
      ArrowDown: focused?.nextElementSibling,
    }[event.key];
    if (!next) return;
    next.focus();
    event.preventDefault();
  }
}
