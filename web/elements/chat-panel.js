/** `<chat-panel>`: conversations, their messages, who is typing and who has read; what is written offline waits. */

import { Composer } from "./composer.js";
import { HubElement, PATHS, drawing, h, iconButton, initials, listen, set, sheet, showAll, textButton } from "./base-element.js";
import { Group } from "./group-settings.js";
import { ago } from "./texts.js";
import { Thread } from "./message-list.js";

export class ChatPanel extends HubElement {
  static observedAttributes = ["conversation", "recipient"];
  static sheet = sheet(`
  :host { display: block; height: 32rem; }
  .chat { display: grid; grid-template-columns: minmax(13rem, 19rem) 1fr; height: 100%; background: var(--_card); border: 1px solid var(--_line); border-radius: calc(var(--_radius) * 1.25); overflow: hidden; }
  nav { border-inline-end: 1px solid var(--_line); overflow-y: auto; padding: .5rem; }
  nav header { padding: 0; border: 0; }
  h2 { font-size: 1rem; padding: .5rem .75rem; flex: 1; }
  nav li > button { width: 100%; border: 0; text-align: start; display: grid; grid-template-columns: auto 1fr auto; gap: 0 .75rem; align-items: center; padding: .625rem .75rem; border-radius: .625rem; font-weight: 400; }
  nav li > button:hover { background: color-mix(in srgb, var(--_tint) 50%, transparent); }
  nav li > button[aria-current=true] { background: var(--_tint); }
  nav b, header b { font-weight: 650; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  nav small { grid-column: 2; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .face { grid-row: span 2; width: 2.25rem; height: 2.25rem; border-radius: 50%; background: var(--_tint); color: var(--_accent); display: grid; place-items: center; font-size: .8125rem; font-weight: 650; position: relative; }
  nav [aria-current=true] .face { background: var(--_card); }
  .face.online::after, .face.idle::after { content: ""; position: absolute; bottom: 0; inset-inline-end: 0; width: .625rem; height: .625rem; border-radius: 50%; background: var(--_accent); box-shadow: 0 0 0 2px var(--_card); }
  .face.idle::after { background: var(--_spark); }
  .count { background: var(--_accent); color: var(--_on-accent); font-size: .75rem; font-weight: 700; border-radius: 1rem; padding: 0 .4375rem; }
  .count:empty { display: none; }
  section { display: grid; grid-template-rows: auto 1fr auto auto; min-width: 0; min-height: 0; }
  header { display: flex; gap: .75rem; align-items: center; padding: .625rem 1rem; border-bottom: 1px solid var(--_line); }
  header > span { flex: 1; display: grid; line-height: 1.3; min-width: 0; }
  .log { overflow-y: auto; padding: 1rem; display: flex; flex-direction: column; gap: .1875rem; overscroll-behavior: contain; outline-offset: -2px; }
  .log > :first-child { margin-top: auto; }
  .log > div { max-width: min(34rem, 82%); align-self: flex-start; position: relative; border-radius: 1rem; }
  .log > .mine { align-self: flex-end; text-align: end; }
  .log > .first { margin-top: .75rem; }
  .bubble { display: inline-block; text-align: start; padding: .5rem .875rem; border-radius: 1.125rem; background: var(--_tint); white-space: pre-wrap; overflow-wrap: anywhere; }
  .mine .bubble { background: var(--hub-bubble, var(--_accent)); color: var(--hub-on-bubble, var(--_on-accent)); }
  .pending .bubble { opacity: .65; }
  .gone .bubble { background: none; border: 1px dashed var(--_line); color: var(--_soft); }
  .bubble a { color: inherit; display: block; }
  .bubble img { display: block; max-width: 16rem; max-height: 12rem; border-radius: .625rem; margin-top: .25rem; }
  .log button, .typing button { min-height: 1.5rem; padding: 0 .375rem; border: 0; color: var(--_accent); font-size: .8125rem; }
  .tools { position: absolute; top: -1.375rem; inset-inline-end: .5rem; background: var(--_card); border: 1px solid var(--_line); border-radius: .5rem; white-space: nowrap; visibility: hidden; }
  .log > :is(:hover, :focus-within) .tools { visibility: visible; }
  .typing { padding: 0 1rem; min-height: 1.5rem; }
  form { display: flex; gap: .5rem; padding: .5rem .75rem .75rem; align-items: end; }
  textarea { flex: 1; min-width: 0; resize: none; min-height: 2.5rem; max-height: 9rem; border-radius: 1.25rem; padding: .5rem 1rem; field-sizing: content; }
  form .icon { border-radius: 50%; }
  form .primary.icon { width: 2.5rem; min-height: 2.5rem; color: var(--_on-accent); }
  .group { flex-direction: column; align-items: stretch; gap: 1.25rem; padding: 1.25rem 1rem; overflow-y: auto; }
  .group li { display: flex; justify-content: space-between; align-items: center; min-height: 2.5rem; overflow-wrap: anywhere; }
  .state { place-content: center; justify-items: center; text-align: center; display: grid; gap: .5rem; padding: 2rem; }
  .state svg { width: 2.5rem; stroke-width: 1.25; opacity: .6; }
  section:has(.state:not([hidden])) { grid-template-rows: 1fr; }
  @media (max-width: 44rem) { .chat { grid-template-columns: 1fr; } .chat.open nav, .chat:not(.open) section { display: none; } }
  @media (min-width: 44.01rem) { .back { display: none; } }`);
  #list = null;
  #ends = [];
  #presence = new Map();
  problem = "";
  /** The conversation that is shown. */
  talk = null;

  build() {
    const { words } = this;
    this.people = h("ul", { part: "conversations" });
    this.more = textButton(words.older, () => this.attempt(this.#list.more()), "quiet");
    this.none = h(
      "p",
      { className: "state soft", hidden: true },
      h("b", { textContent: words.noConversations }),
      h("span", { textContent: words.noConversationsHint }),
    );
    this.heading = h("b");
    this.about = h("small");
    this.muting = textButton("", () => this.#mute(), "quiet");
    this.thread = new Thread(this);
    this.composer = new Composer(this);
    this.group = new Group(this);
    this.who = iconButton("people", words.members, () => this.group.show(this.talk.getSnapshot().conversation));
    this.head = h(
      "header",
      {},
      iconButton("back", words.back, () => (this.group.open ? this.group.close() : this.pick("")), { className: "icon back" }),
      h("span", {}, this.heading, this.about),
      this.who,
      this.muting,
    );
    this.empty = h("p", { className: "state soft" }, drawing(PATHS.send), h("span", { textContent: words.pick }));
    this.typing = h("p", { className: "typing soft", role: "status" });
    this.error = h("p", { className: "error typing", role: "alert", hidden: true });
    this.box = h(
      "div",
      { className: "chat", part: "panel" },
      h(
        "nav",
        { ariaLabel: words.conversations },
        h(
          "header",
          {},
          h("h2", { textContent: words.conversations }),
          iconButton("plus", words.newGroup, () => this.group.show()),
        ),
        this.none,
        this.people,
        this.more,
      ),
      h(
        "section",
        { part: "thread" },
        this.head,
        this.empty,
        this.thread.log,
        this.group.box,
        h("div", {}, this.error, this.composer.bar, this.typing),
        this.composer.form,
      ),
    );
    this.root.append(this.box);
  }

  hearing() {
    this.#list = this.client.live("/api/conversations?limit=50", ["conversations"]);
    queueMicrotask(() => this.#enter());
    return [
      this.#list.subscribe(() => (this.#drawList(), this.group.open && this.drawTalk())),
      this.client.on("presence", ({ data }) => {
        this.#presence.set(data.userId, data.status);
        this.#drawList();
      }),
      this.client.on(
        "message",
        ({ data }) => data.clientMessageId && data.clientMessageId === this.first && this.pick(data.conversationId),
      ),
      // Who was taken out of a group has nothing there to look at any more.
      this.client.on(
        "message_state",
        ({ data }) => data.removed?.includes(this.me) && data.conversationId === this.talk?.id && this.pick(""),
      ),
      () => this.#leave(),
    ];
  }

  draw() {
    if (this.addressee) this.drawTalk();
  }

  attributeChangedCallback() {
    if (this.isConnected && this.built) this.#enter();
  }

  get me() {
    return this.client.getSnapshot().user?.id;
  }

  /** With whom a conversation begins that is not there yet. */
  get addressee() {
    return this.getAttribute("recipient");
  }

  /** Show another conversation. @param {string} id "" for none */
  pick = (id) => {
    this.removeAttribute("recipient");
    set(this, { conversation: id || null });
    this.dispatchEvent(new CustomEvent("hub-conversation", { detail: { id }, bubbles: true, composed: true }));
    if (id) this.composer.field.focus();
  };

  #leave() {
    for (const end of this.#ends) end();
    this.#ends = [];
    this.talk = null;
  }

  #enter() {
    this.#leave();
    const id = this.getAttribute("conversation");
    this.problem = "";
    this.thread.log.replaceChildren();
    this.thread.near = true;
    this.composer.enter(id ?? "");
    this.group.close();
    if (id) {
      this.talk = this.client.conversation(id);
      const seen = () => this.drawTalk();
      this.#ends = [this.talk.subscribe(seen), listen(document, "visibilitychange", seen)];
    }
    this.#drawList();
    this.drawTalk();
  }

  /** The conversations one has, the last active first. */
  get #all() {
    return this.#list?.getSnapshot().data?.items ?? [];
  }

  #others({ members }) {
    return members.filter(({ id }) => id !== this.me);
  }

  #drawList() {
    const { data, error } = this.#list?.getSnapshot() ?? {};
    const { words } = this;
    set(this.none, { hidden: this.#all.length > 0 || (!data && !error) });
    set(this.more, { hidden: !data?.next });
    const here = this.getAttribute("conversation");
    showAll(
      this.people,
      this.#all.map((item) => ({ ...item })),
      (item) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => this.pick(item.id) },
            h("span", { className: "face", "aria-hidden": "true" }),
            h("b"),
            h("span", { className: "count" }),
            h("small"),
          ),
        ),
      (element, item) => {
        const [button] = element.children;
        const [face, name, count, last] = button.children;
        const others = this.#others(item);
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
            ? `${said.sender.id === this.me ? `${words.you}: ` : ""}${said.deletedAt ? words.deleted : said.content || `📎 ${said.attachments[0]?.name}`} · ${ago(said.createdAt, this.language)}`
            : "",
        });
      },
    );
    this.#askPresence();
  }

  async #askPresence() {
    const unknown = this.#all.flatMap((item) => this.#others(item)).filter(({ id }) => !this.#presence.has(id));
    if (!unknown.length) return;
    const ids = [...new Set(unknown.map(({ id }) => id))].slice(0, 100);
    for (const id of ids) this.#presence.set(id, "");
    const answer = await this.client.request("GET", `/api/presence?userIds=${ids.join(",")}`).catch(() => null);
    for (const { userId, status } of answer?.items ?? []) this.#presence.set(userId, status);
    if (answer) this.#drawList();
  }

  #nameOf(item) {
    const names = this.#others(item).map(({ name }) => name);
    return item.title || names.join(", ") || this.words.you;
  }

  /** Draw what is shown of the conversation that was picked, or of the group that is made. */
  drawTalk() {
    const { words, talk, addressee } = this;
    const group = this.group.open;
    const { outbox } = this.client.getSnapshot();
    const state = talk?.getSnapshot() ?? {
      messages: [],
      pending: outbox.filter((message) => message.recipientId === addressee),
      typing: [],
    };
    const { conversation, typing, error } = state;
    const open = Boolean(talk || addressee) || group;
    const others = conversation ? this.#others(conversation) : [];
    const status =
      conversation?.kind === "group" ? others.map(({ name }) => name).join(", ") : words[this.#presence.get(others[0]?.id)];
    const names = typing.map((id) => others.find((member) => member.id === id)?.name ?? "…");
    const problem = this.problem || error?.message;
    set(this.box, { className: open ? "chat open" : "chat" });
    for (const part of [this.thread.log, this.composer.form]) set(part, { hidden: !open || group });
    set(this.head, { hidden: !open });
    set(this.empty, { hidden: open });
    set(this.who, { hidden: conversation?.kind !== "group" || group });
    set(this.muting, { hidden: !conversation || group, textContent: conversation?.muted ? words.unmute : words.mute });
    set(this.heading, {
      textContent:
        group && this.group.fresh ? words.newGroup : conversation ? this.#nameOf(conversation) : this.getAttribute("name"),
    });
    set(this.about, { textContent: [status, conversation?.muted && words.muted].filter(Boolean).join(" · ") });
    set(this.error, { textContent: problem, hidden: !problem });
    set(this.typing, { textContent: names.length ? words.typing(names) : "" });
    if (group) return this.group.draw(conversation, this.#known());
    this.thread.draw(state, this.me, others);
    if (!document.hidden && this.thread.near) talk?.read();
  }

  /** Those one has talked to. */
  #known() {
    const people = new Map(this.#all.flatMap((item) => this.#others(item)).map((person) => [person.id, person]));
    return [...people.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  #mute() {
    const { id, muted } = this.talk.getSnapshot().conversation;
    this.attempt(this.client.request("PATCH", `/api/conversations/${id}`, { muted: !muted }).then(this.talk.load));
  }

  /** A button to be pressed twice: what it does is not taken back. @param {string} label @param {() => Promise<any>} act @param {object} [more] */
  twice(label, act, more) {
    const ask = (sure) =>
      set(button, { textContent: sure ? this.words.sure(label) : label, ...(sure ? { ariaLabel: null } : more) });
    const button = textButton("", () => (button.textContent === label ? ask(true) : this.attempt(act())), "quiet");
    button.onblur = () => ask(false);
    ask(false);
    return button;
  }

  attempt(act) {
    this.problem = "";
    return super.attempt(act);
  }

  failed(error) {
    this.problem = error.message;
    this.drawTalk();
  }
}
