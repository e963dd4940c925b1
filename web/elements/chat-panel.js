/** `<chat-panel>`: the user's conversations, one of them open, with composer and group settings. */

import { HubElement, ICONS, h, iconButton, listen, set, styleSheet, svgIcon, textButton } from "./base-element.js";
import { Composer } from "./composer.js";
import { ConversationList } from "./conversation-list.js";
import { GroupSettings } from "./group-settings.js";
import { MessageList } from "./message-list.js";

export class ChatPanel extends HubElement {
  static observedAttributes = ["conversation", "recipient"];
  static styles = styleSheet(`
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
  .avatar { grid-row: span 2; width: 2.25rem; height: 2.25rem; border-radius: 50%; background: var(--_tint); color: var(--_accent); display: grid; place-items: center; font-size: .8125rem; font-weight: 650; position: relative; }
  nav [aria-current=true] .avatar { background: var(--_card); }
  .avatar.online::after, .avatar.idle::after { content: ""; position: absolute; bottom: 0; inset-inline-end: 0; width: .625rem; height: .625rem; border-radius: 50%; background: var(--_accent); box-shadow: 0 0 0 2px var(--_card); }
  .avatar.idle::after { background: var(--_spark); }
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
  .deleted .bubble { background: none; border: 1px dashed var(--_line); color: var(--_soft); }
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
  #unsubscribeConversation = [];
  errorText = "";
  /** The open conversation. @type {any} */
  openConversation = null;

  build() {
    const { texts } = this;
    this.heading = h("b");
    this.subheading = h("small");
    this.muteButton = textButton("", () => this.#toggleMute(), "quiet");
    this.conversations = new ConversationList(this);
    this.messages = new MessageList(this);
    this.composer = new Composer(this);
    this.group = new GroupSettings(this);
    this.membersButton = iconButton("people", texts.members, () => this.group.show(this.openConversation.getSnapshot().conversation));
    this.header = h(
      "header",
      {},
      iconButton("back", texts.back, () => (this.group.open ? this.group.close() : this.pick("")), { className: "icon back" }),
      h("span", {}, this.heading, this.subheading),
      this.membersButton,
      this.muteButton,
    );
    this.empty = h("p", { className: "state soft" }, svgIcon(ICONS.send), h("span", { textContent: texts.pick }));
    this.typing = h("p", { className: "typing soft", role: "status" });
    this.error = h("p", { className: "error typing", role: "alert", hidden: true });
    this.box = h(
      "div",
      { className: "chat", part: "panel" },
      this.conversations.box,
      h(
        "section",
        { part: "thread" },
        this.header,
        this.empty,
        this.messages.log,
        this.group.box,
        h("div", {}, this.error, this.composer.bar, this.typing),
        this.composer.form,
      ),
    );
    this.root.append(this.box);
  }

  subscriptions() {
    queueMicrotask(() => this.#open());
    return [
      ...this.conversations.subscriptions(),
      this.client.on(
        "message",
        ({ data }) =>
          data.clientMessageId && data.clientMessageId === this.firstMessageId && this.pick(data.conversationId),
      ),
      // A removed member cannot read the group any more.
      this.client.on(
        "message_state",
        ({ data }) => data.removed?.includes(this.userId) && data.conversationId === this.openConversation?.id && this.pick(""),
      ),
      () => this.#close(),
    ];
  }

  render() {
    if (this.recipientId) this.renderConversation();
  }

  attributeChangedCallback() {
    if (this.isConnected && this.built) this.#open();
  }

  get userId() {
    return this.client.getSnapshot().user?.id;
  }

  /** The user to whom the first message of a new conversation is sent. */
  get recipientId() {
    return this.getAttribute("recipient");
  }

  /** Open another conversation. @param {string} id "" for none */
  pick = (id) => {
    this.removeAttribute("recipient");
    set(this, { conversation: id || null });
    this.dispatchEvent(new CustomEvent("hub-conversation", { detail: { id }, bubbles: true, composed: true }));
    if (id) this.composer.field.focus();
  };

  #close() {
    for (const unsubscribe of this.#unsubscribeConversation) unsubscribe();
    this.#unsubscribeConversation = [];
    this.openConversation = null;
  }

  #open() {
    this.#close();
    const id = this.getAttribute("conversation");
    this.errorText = "";
    this.messages.log.replaceChildren();
    this.messages.atEnd = true;
    this.composer.switchTo(id ?? "");
    this.group.close();
    if (id) {
      this.openConversation = this.client.conversation(id);
      const render = () => this.renderConversation();
      this.#unsubscribeConversation = [this.openConversation.subscribe(render), listen(document, "visibilitychange", render)];
    }
    this.conversations.render();
    this.renderConversation();
  }

  /** Render the open conversation, or the settings of a group. */
  renderConversation() {
    const { texts, recipientId, conversations } = this;
    const inGroup = this.group.open;
    const { outbox } = this.client.getSnapshot();
    const state = this.openConversation?.getSnapshot() ?? {
      messages: [],
      pending: outbox.filter((message) => message.recipientId === recipientId),
      typing: [],
    };
    const { conversation, typing, error } = state;
    const open = Boolean(this.openConversation || recipientId) || inGroup;
    const others = conversation ? conversations.othersIn(conversation) : [];
    const status =
      conversation?.kind === "group" ? others.map(({ name }) => name).join(", ") : texts[conversations.presenceOf(others[0]?.id)];
    const names = typing.map((id) => others.find((member) => member.id === id)?.name ?? "…");
    const errorText = this.errorText || error?.message;
    set(this.box, { className: open ? "chat open" : "chat" });
    for (const part of [this.messages.log, this.composer.form]) set(part, { hidden: !open || inGroup });
    set(this.header, { hidden: !open });
    set(this.empty, { hidden: open });
    set(this.membersButton, { hidden: conversation?.kind !== "group" || inGroup });
    set(this.muteButton, { hidden: !conversation || inGroup, textContent: conversation?.muted ? texts.unmute : texts.mute });
    set(this.heading, {
      textContent:
        inGroup && this.group.isNew
          ? texts.newGroup
          : conversation
            ? conversations.nameOf(conversation)
            : this.getAttribute("name"),
    });
    set(this.subheading, { textContent: [status, conversation?.muted && texts.muted].filter(Boolean).join(" · ") });
    set(this.error, { textContent: errorText, hidden: !errorText });
    set(this.typing, { textContent: names.length ? texts.typing(names) : "" });
    if (inGroup) return this.group.render(conversation, conversations.knownUsers);
    this.messages.render(state, this.userId, others);
    if (!document.hidden && this.messages.atEnd) this.openConversation?.read();
  }

  #toggleMute() {
    const { id, muted } = this.openConversation.getSnapshot().conversation;
    const request = this.client.request("PATCH", `/api/conversations/${id}`, { muted: !muted });
    this.attempt(request.then(this.openConversation.load));
  }

  /**
   * A button that must be pressed twice, for an action that cannot be undone.
   * @param {string} label @param {() => Promise<any>} act @param {object} [more] properties before the first press
   */
  confirmButton(label, act, more) {
    const show = (confirming) =>
      set(button, { textContent: confirming ? this.texts.sure(label) : label, ...(confirming ? { ariaLabel: null } : more) });
    const button = textButton("", () => (button.textContent === label ? show(true) : this.attempt(act())), "quiet");
    button.onblur = () => show(false);
    show(false);
    return button;
  }

  attempt(action) {
    this.errorText = "";
    return super.attempt(action);
  }

  showError(error) {
    this.errorText = error.message;
    this.renderConversation();
  }
}
