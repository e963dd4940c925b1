/** The messages of a conversation: who said what and when, how far it has come, and what one may still do with one's own. */

import { h, renew, set, showAll, textButton } from "./base-element.js";
import { clock } from "./texts.js";

export class Thread {
  /** Whether the newest message is in view, and stays there when another comes. */
  near = true;

  /** @param {import("./chat-panel.js").ChatPanel} panel */
  constructor(panel) {
    this.panel = panel;
    this.log = h("div", {
      className: "log",
      role: "log",
      tabIndex: 0,
      ariaLabel: panel.words.messages,
      part: "log",
      onscroll: () => this.#scrolled(),
      onkeydown: (event) => this.#key(event),
    });
  }

  /** @param {any} state of the conversation @param {string} me @param {any[]} others */
  draw({ messages, pending, older }, me, others) {
    const sent = new Set(messages.map((message) => message.clientMessageId));
    const waiting = pending
      .filter((message) => !sent.has(message.clientMessageId))
      .map((message) => ({ ...message, id: message.clientMessageId, pending: true, sender: { id: me } }));
    const shown = [...(older ? [{ id: "older", older: true }] : []), ...messages, ...waiting];
    const mine = messages.filter(({ sender }) => sender.id === me);
    const reach = this.#reach(mine, others);
    showAll(
      this.log,
      shown.map((message, index) => ({
        ...message,
        mine: message.sender?.id === me,
        first: shown[index - 1]?.sender?.id !== message.sender?.id,
        receipt: reach.get(message.id),
      })),
      () => h("div", { role: "article", tabIndex: -1, "data-testid": "message" }),
      (element, message) => this.#fill(element, message),
    );
    if (this.near) this.log.scrollTop = this.log.scrollHeight;
    /** What may be edited without looking for it. */
    this.newest = mine.findLast(({ deletedAt }) => !deletedAt);
  }

  /** How far the others have come: said once, at the last message of ours that they read, and at the last that arrived. */
  #reach(mine, others) {
    const { delivered, read, sent } = this.panel.words;
    const reach = new Map();
    for (const [field, word] of Object.entries({ deliveredUpTo: delivered, readUpTo: read })) {
      const last = mine.findLast(({ id }) => others.length && others.every((member) => member[field] >= id));
      if (last) reach.set(last.id, word);
    }
    const newest = mine.at(-1);
    if (newest && !reach.has(newest.id)) reach.set(newest.id, sent);
    return reach;
  }

  #fill(element, message) {
    const { panel } = this;
    const { words } = panel;
    // How far it has come stands by itself.
    renew(element, { ...message, receipt: 0 }, () => {
      if (message.older) return element.replaceChildren(textButton(words.older, () => panel.attempt(panel.talk.more())));
      const { mine, first, pending, deletedAt } = message;
      set(element, {
        className: [mine && "mine", first && "first", pending && "pending", deletedAt && "gone"].filter(Boolean).join(" "),
      });
      element.facts = h("small");
      return element.replaceChildren(
        h(
          "span",
          { className: "bubble" },
          deletedAt ? words.deleted : message.content,
          ...(message.attachments ?? []).map((file) => this.#file(file)),
        ),
        h("div", {}, element.facts, ...this.#tools(message)),
      );
    });
    if (element.facts) set(element.facts, { textContent: this.#facts(message) });
  }

  #facts({ mine, first, pending, error, receipt, sender, createdAt, editedAt, deletedAt }) {
    const { words, language } = this.panel;
    const at = clock(createdAt, language);
    const state = pending ? (error ? `${words.failed}: ${error}` : words.waiting) : receipt;
    return [first && !mine && sender.name, (first || receipt) && at, editedAt && !deletedAt && words.edited, mine && state]
      .filter(Boolean)
      .join(" · ");
  }

  #tools({ id, mine, pending, error, deletedAt, content, clientMessageId }) {
    const { panel } = this;
    const { words, client } = panel;
    if (error)
      return [
        textButton(words.retry, () => client.resend(clientMessageId)),
        textButton(words.discard, () => client.discard(clientMessageId)),
      ];
    if (!mine || pending || deletedAt) return [];
    return [
      h(
        "span",
        { className: "tools" },
        textButton(words.edit, () => panel.composer.edit({ id, content })),
        panel.twice(words.delete, () => panel.talk.remove(id)),
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
    this.near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 48;
    if (this.near) this.panel.talk?.read();
  }

  /** One stop for all messages; the arrows move in them. */
  #key(event) {
    const here = [...this.log.children].find((element) => element.contains(event.target));
    const next = {
      ArrowUp: here ? here.previousElementSibling : this.log.lastElementChild,
      ArrowDown: here?.nextElementSibling,
    }[event.key];
    if (!next) return;
    next.focus();
    event.preventDefault();
  }
}
