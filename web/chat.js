/** `<chat-panel>`: conversations, their messages, who is typing and who has read; what is written offline waits. */

import { HubElement, PATHS, drawing, h, iconButton, set, sheet, showAll, textButton } from "./element.js";
import { ago } from "./texts.js";

export class ChatPanel extends HubElement {
  static observedAttributes = ["conversation", "recipient"];
  static sheet = sheet(`
  :host { display: block; height: 32rem; }
  .chat { display: grid; grid-template-columns: minmax(13rem, 19rem) 1fr; height: 100%; background: var(--_card); border: 1px solid var(--_line); border-radius: calc(var(--_radius) * 1.25); overflow: hidden; }
  nav { border-inline-end: 1px solid var(--_line); overflow-y: auto; padding: .5rem; }
  nav h2 { font-size: 1rem; padding: .5rem .75rem; }
  nav button { width: 100%; border: 0; text-align: start; display: grid; grid-template-columns: auto 1fr auto; gap: 0 .75rem; align-items: center; padding: .625rem .75rem; border-radius: .625rem; font-weight: 400; }
  nav button:hover { background: color-mix(in srgb, var(--_tint) 50%, transparent); }
  nav button[aria-current=true] { background: var(--_tint); }
  nav b, header b { font-weight: 650; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  nav small { grid-column: 2; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .face { grid-row: span 2; width: 2.25rem; height: 2.25rem; border-radius: 50%; background: var(--_tint); color: var(--_accent); display: grid; place-items: center; font-size: .8125rem; font-weight: 650; position: relative; }
  nav [aria-current=true] .face { background: var(--_card); }
  .face.online::after, .face.idle::after { content: ""; position: absolute; inset-block-end: 0; inset-inline-end: 0; width: .625rem; height: .625rem; border-radius: 50%; background: var(--_accent); box-shadow: 0 0 0 2px var(--_card); }
  .face.idle::after { background: var(--_spark); }
  .count { background: var(--_accent); color: var(--_on-accent); font-size: .75rem; font-weight: 700; border-radius: 1rem; padding: 0 .4375rem; }
  .count:empty { display: none; }
  section { display: grid; grid-template-rows: auto 1fr auto auto; min-width: 0; min-height: 0; }
  header { display: flex; gap: .75rem; align-items: center; padding: .625rem 1rem; border-block-end: 1px solid var(--_line); }
  header > span { flex: 1; display: grid; line-height: 1.3; min-width: 0; }
  .log { overflow-y: auto; padding: 1rem; display: flex; flex-direction: column; gap: .1875rem; overscroll-behavior: contain; outline-offset: -2px; }
  .log > :first-child { margin-block-start: auto; }
  .log > div { max-width: min(34rem, 82%); align-self: flex-start; }
  .log > .mine { align-self: flex-end; text-align: end; }
  .log > .first { margin-block-start: .75rem; }
  .bubble { display: inline-block; text-align: start; padding: .5rem .875rem; border-radius: 1.125rem; background: var(--_tint); white-space: pre-wrap; overflow-wrap: anywhere; }
  .mine .bubble { background: var(--hub-bubble, var(--_accent)); color: var(--hub-on-bubble, var(--_on-accent)); }
  .pending .bubble { opacity: .65; }
  .gone .bubble { background: none; border: 1px dashed var(--_line); color: var(--_soft); }
  .bubble a { color: inherit; display: block; }
  .bubble img { display: block; max-width: 16rem; max-height: 12rem; border-radius: .625rem; margin-block-start: .25rem; }
  .log button { min-height: 1.5rem; padding: 0 .375rem; border: 0; color: var(--_accent); font-size: .8125rem; }
  .typing { padding: 0 1rem; min-height: 1.5rem; }
  form { display: flex; gap: .5rem; padding: .5rem .75rem .75rem; align-items: end; }
  textarea { flex: 1; min-width: 0; resize: none; min-height: 2.5rem; max-height: 9rem; border-radius: 1.25rem; padding: .5rem 1rem; field-sizing: content; }
  form .primary { border-radius: 50%; width: 2.5rem; min-height: 2.5rem; color: var(--_on-accent); }
  .state { place-content: center; justify-items: center; text-align: center; display: grid; gap: .5rem; padding: 2rem; }
  .state svg { width: 2.5rem; fill: none; stroke: currentColor; stroke-width: 1.25; opacity: .6; }
  section:has(.state:not([hidden])) { grid-template-rows: 1fr; }
  @media (max-width: 44rem) { .chat { grid-template-columns: 1fr; } .chat.open nav, .chat:not(.open) section { display: none; } }
  @media (min-width: 44.01rem) { .back { display: none; } }`);
  #list = null;
  #talk = null;
  #ends = [];
  #presence = new Map();
  #near = true;
  #files = [];

  build() {
    const { words } = this;
    this.people = h("ul", { part: "conversations" });
    this.none = h(
      "p",
      { className: "state soft", hidden: true },
      h("b", { textContent: words.noConversations }),
      h("span", { textContent: words.noConversationsHint }),
    );
    this.heading = h("b");
    this.about = h("small");
    this.muting = textButton("", () => this.#mute(), "quiet");
    this.log = h("div", {
      className: "log",
      role: "log",
      tabIndex: 0,
      ariaLabel: words.messages,
      part: "log",
      onscroll: () => this.#scrolled(),
    });
    this.pick = h("p", { className: "state soft" }, drawing(PATHS.send), h("span", { textContent: words.pick }));
    this.typing = h("p", { className: "typing soft", role: "status" });
    this.field = h("textarea", {
      rows: 1,
      maxLength: 5000,
      placeholder: words.write,
      ariaLabel: words.write,
      oninput: () => this.#talk?.type(),
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.#send();
      },
    });
    this.file = h("input", { type: "file", hidden: true, multiple: true, onchange: () => this.#attach() });
    this.form = h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          this.#send();
        },
      },
      this.file,
      iconButton("clip", words.attach, () => this.file.click()),
      this.field,
      iconButton("send", words.send, () => this.#send(), { className: "icon primary" }),
    );
    this.error = h("p", { className: "error typing", role: "alert", hidden: true });
    this.box = h(
      "div",
      { className: "chat", part: "panel" },
      h("nav", { ariaLabel: words.conversations }, h("h2", { textContent: words.conversations }), this.none, this.people),
      h(
        "section",
        { part: "thread" },
        h(
          "header",
          {},
          iconButton("back", words.back, () => this.#pick(""), { className: "icon back" }),
          h("span", {}, this.heading, this.about),
          this.muting,
        ),
        this.pick,
        this.log,
        h("div", {}, this.error, this.typing),
        this.form,
      ),
    );
    this.root.append(this.box);
  }

  hearing() {
    this.#list = this.client.live("/api/conversations?limit=50", ["conversations"]);
    queueMicrotask(() => this.#enter());
    return [
      this.#list.subscribe(() => this.#drawList()),
      this.client.on("presence", ({ data }) => {
        this.#presence.set(data.userId, data.status);
        this.#drawList(true);
      }),
      this.client.on(
        "message",
        ({ data }) => data.clientMessageId && data.clientMessageId === this.first && this.#pick(data.conversationId),
      ),
      () => this.#leave(),
    ];
  }

  draw() {
    if (this.hasAttribute("recipient")) this.#drawTalk();
  }

  attributeChangedCallback() {
    if (this.isConnected && this.built) this.#enter();
  }

  #me() {
    return this.client.getSnapshot().user?.id;
  }

  #pick(id) {
    this.removeAttribute("recipient");
    set(this, { conversation: id || null });
    this.dispatchEvent(new CustomEvent("hub-conversation", { detail: { id }, bubbles: true, composed: true }));
    if (id) this.field.focus();
  }

  #leave() {
    for (const end of this.#ends) end();
    this.#ends = [];
    this.#talk = null;
  }

  #enter() {
    this.#leave();
    const id = this.getAttribute("conversation");
    this.log.replaceChildren();
    this.#near = true;
    if (id) {
      this.#talk = this.client.conversation(id);
      const seen = () => this.#drawTalk();
      document.addEventListener("visibilitychange", seen);
      this.#ends = [this.#talk.subscribe(seen), () => document.removeEventListener("visibilitychange", seen)];
    }
    this.#drawList(true);
    this.#drawTalk();
  }

  #drawList(anew = false) {
    const { data, error } = this.#list?.getSnapshot() ?? {};
    const items = data?.items ?? [];
    set(this.none, { hidden: Boolean(items.length) || (!data && !error) });
    const here = this.getAttribute("conversation");
    showAll(
      this.people,
      items.map((item) => (anew ? { ...item } : item)),
      (item) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => this.#pick(item.id) },
            h("span", { className: "face", "aria-hidden": "true" }),
            h("b"),
            h("span", { className: "count" }),
            h("small"),
          ),
        ),
      (element, item) => {
        const [button] = element.children;
        const [face, name, count, last] = button.children;
        const others = item.members.filter((member) => member.id !== this.#me());
        set(button, { ariaCurrent: item.id === here ? "true" : null });
        set(name, { textContent: this.#nameOf(item) });
        set(face, {
          textContent: initials(this.#nameOf(item)),
          className: `face ${others.length === 1 ? (this.#presence.get(others[0].id) ?? "") : ""}`,
        });
        set(count, { textContent: item.unread ? String(item.unread) : "" });
        const said = item.lastMessage;
        set(last, {
          textContent: said
            ? `${said.sender.id === this.#me() ? `${this.words.you}: ` : ""}${said.deletedAt ? this.words.deleted : said.content} · ${ago(said.createdAt, this.language)}`
            : "",
        });
      },
    );
    this.#askPresence(items);
  }

  async #askPresence(items) {
    const unknown = items
      .flatMap((item) => item.members)
      .map((member) => member.id)
      .filter((id) => !this.#presence.has(id) && id !== this.#me());
    if (!unknown.length) return;
    for (const id of unknown) this.#presence.set(id, "");
    const answer = await this.client
      .request("GET", `/api/presence?userIds=${[...new Set(unknown)].slice(0, 100).join(",")}`)
      .catch(() => null);
    for (const { userId, status } of answer?.items ?? []) this.#presence.set(userId, status);
    if (answer) this.#drawList(true);
  }

  #nameOf({ title, members }) {
    return (
      title ||
      members
        .filter((member) => member.id !== this.#me())
        .map((member) => member.name)
        .join(", ") ||
      this.words.you
    );
  }

  #drawTalk() {
    const { words } = this;
    const recipient = this.getAttribute("recipient");
    const first = this.client.getSnapshot().outbox.filter((message) => message.recipientId === recipient);
    const { conversation, messages, pending, typing, older, error } = this.#talk?.getSnapshot() ?? {
      messages: [],
      pending: first,
      typing: [],
    };
    const open = Boolean(this.#talk || recipient);
    set(this.box, { className: open ? "chat open" : "chat" });
    set(this.form, { hidden: !open });
    set(this.muting, { hidden: !conversation, textContent: conversation?.muted ? words.unmute : words.mute });
    set(this.heading.parentNode.parentNode, { hidden: !open });
    set(this.pick, { hidden: open });
    set(this.log, { hidden: !open });
    set(this.heading, { textContent: conversation ? this.#nameOf(conversation) : (this.getAttribute("name") ?? "") });
    const others = conversation?.members.filter((member) => member.id !== this.#me()) ?? [];
    const status =
      others.length === 1
        ? { online: words.online, idle: words.idle, offline: words.offlineNow }[this.#presence.get(others[0].id)]
        : others.map((member) => member.name).join(", ");
    set(this.about, { textContent: conversation ? [status, conversation.muted && words.muted].filter(Boolean).join(" · ") : "" });
    set(this.error, { textContent: error?.message ?? this.problem ?? "", hidden: !error && !this.problem });
    const names = typing.map((id) => others.find((member) => member.id === id)?.name ?? "…");
    set(this.typing, { textContent: names.length ? words.typing(names) : "" });
    const sent = new Set(messages.map((message) => message.clientMessageId));
    const waiting = pending
      .filter((message) => !sent.has(message.clientMessageId))
      .map((message) => ({ ...message, id: message.clientMessageId, pending: true, sender: { id: this.#me() } }));
    const shown = [...(older ? [{ id: "older", older: true }] : []), ...messages, ...waiting];
    const reach = this.#receipts(messages, others);
    showAll(
      this.log,
      shown.map((message, index) => ({
        ...message,
        first: shown[index - 1]?.sender?.id !== message.sender?.id,
        receipt: reach.get(message.id),
      })),
      () => h("div", { "data-testid": "message" }),
      (element, message) => this.#fill(element, message),
    );
    if (this.#near) this.log.scrollTop = this.log.scrollHeight;
    if (this.#talk && !document.hidden && this.#near) this.#talk.read();
  }

  /** How far the others have come: said once, at the last message of ours that they read, and at the last that arrived. */
  #receipts(messages, others) {
    const reach = new Map();
    const mine = messages.filter((message) => message.sender.id === this.#me());
    for (const [field, word] of [
      ["deliveredUpTo", this.words.delivered],
      ["readUpTo", this.words.read],
    ]) {
      const last = mine.findLast(
        (message) => others.length && others.every((member) => member[field] && member[field] >= message.id),
      );
      if (last) reach.set(last.id, word);
    }
    const newest = mine.at(-1);
    if (newest && !reach.has(newest.id)) reach.set(newest.id, this.words.sent);
    return reach;
  }

  #fill(element, message) {
    const { words } = this;
    if (message.older) return void element.replaceChildren(textButton(words.older, () => this.attempt(this.#talk.more())));
    const mine = message.sender.id === this.#me();
    set(element, {
      className: [mine && "mine", message.first && "first", message.pending && "pending", message.deletedAt && "gone"]
        .filter(Boolean)
        .join(" "),
    });
    const at = new Date(message.createdAt).toLocaleTimeString(this.language, { hour: "2-digit", minute: "2-digit" });
    const state = message.pending ? (message.error ? `${words.failed}: ${message.error}` : words.waiting) : message.receipt;
    const facts = [
      message.first && !mine && message.sender.name,
      (message.first || message.receipt) && at,
      message.editedAt && words.edited,
      mine && state,
    ].filter(Boolean);
    element.replaceChildren(
      h(
        "span",
        { className: "bubble" },
        message.deletedAt ? words.deleted : message.content,
        ...(message.attachments ?? []).map((file) => this.#file(file)),
      ),
      facts.length || message.error
        ? h(
            "small",
            {},
            h("br"),
            facts.join(" · "),
            ...(message.error
              ? [
                  textButton(words.retry, () => this.client.resend(message.clientMessageId)),
                  textButton(words.discard, () => this.client.discard(message.clientMessageId)),
                ]
              : []),
          )
        : "",
    );
  }

  #file({ id, name, type, size, thumbnail }) {
    const path = `${this.client.url}/api/attachments/${id}`;
    return h(
      "a",
      { href: path, target: "_blank", rel: "noopener" },
      thumbnail || type?.startsWith("image/")
        ? h("img", { src: thumbnail ? `${path}?size=thumb` : path, alt: name, loading: "lazy" })
        : `📎 ${name} (${Math.ceil(size / 1024)} KB)`,
    );
  }

  #scrolled() {
    this.#near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 48;
    if (this.#near && this.#talk) this.#talk.read();
  }

  async #send() {
    const content = this.field.value.trim();
    if (!content && !this.#files.length) return;
    this.field.value = "";
    this.#near = true;
    const attachmentIds = this.#files;
    this.#files = [];
    const recipientId = this.getAttribute("recipient");
    const more = attachmentIds.length ? { attachmentIds, type: "file" } : {};
    if (this.#talk) await this.#talk.send(content, more);
    else if (recipientId) this.first = await this.client.sendMessage({ recipientId, content, ...more });
  }

  async #attach() {
    for (const file of this.file.files) {
      const body = new FormData();
      body.append("file", file);
      const made = await this.attempt(this.client.request("POST", "/api/attachments", body));
      if (made) this.#files.push(made.id);
    }
    this.file.value = "";
    if (this.#files.length) this.#send();
  }

  #mute() {
    const { conversation } = this.#talk.getSnapshot();
    this.attempt(
      this.client.request("PATCH", `/api/conversations/${conversation.id}`, { muted: !conversation.muted }).then(this.#talk.load),
    );
  }

  failed(error) {
    this.problem = error.message;
    this.#drawTalk();
    this.problem = "";
  }
}

/** @param {string} name */
const initials = (name) =>
  name
    .split(/[\s,]+/)
    .map((word) => [...word][0])
    .join("")
    .slice(0, 2)
    .toUpperCase();
