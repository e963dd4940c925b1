/** Composes a message, attaches files, and edits a sent message. */

import { h, iconButton, set, textButton } from "./base-element.js";

export class Composer {
  #edited = null;
  /** Unsent texts by conversation; "" is the text before an edit. */
  #drafts = new Map();
  #conversationId = "";

  /** @param {import("./chat-panel.js").ChatPanel} panel */
  constructor(panel) {
    const { texts } = panel;
    this.panel = panel;
    this.field = h("textarea", {
      rows: 1,
      maxLength: 5000,
      placeholder: texts.write,
      ariaLabel: texts.write,
      "aria-describedby": "chatkeys",
      oninput: () => panel.openConversation?.type(),
      onkeydown: (event) => this.#key(event),
    });
    this.file = h("input", { type: "file", hidden: true, multiple: true, onchange: () => this.#attach() });
    this.clip = iconButton("clip", texts.attach, () => this.file.click());
    this.bar = h(
      "p",
      { className: "typing soft", role: "status", hidden: true },
      `${texts.editing} `,
      textButton(texts.cancel, () => this.#stopEditing(), "quiet"),
    );
    this.form = h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          panel.attempt(this.#send());
        },
      },
      this.file,
      this.clip,
      this.field,
      iconButton("send", texts.send, () => this.form.requestSubmit(), { className: "icon primary" }),
      h("p", { className: "visually-hidden", id: "chatkeys", textContent: texts.chatKeys }),
    );
  }

  /** Show the draft of another conversation. @param {string} id "" before the conversation exists */
  switchTo(id) {
    this.#stopEditing();
    if (this.#conversationId) {
      this.#drafts.set(this.#conversationId, this.field.value);
      set(this.field, { value: this.#drafts.get(id) ?? "" });
    }
    this.#conversationId = id;
  }

  /** Edit a sent message. @param {{id: string, content: string}} message */
  edit(message) {
    if (!this.#edited) this.#drafts.set("", this.field.value);
    this.#edited = message;
    this.#show(message.content);
  }

  #stopEditing() {
    if (!this.#edited) return;
    this.#edited = null;
    this.#show(this.#drafts.get("") ?? "");
  }

  #show(text) {
    set(this.field, { value: text });
    set(this.bar, { hidden: !this.#edited });
    set(this.clip, { disabled: Boolean(this.#edited) });
    this.field.focus();
  }

  #key(event) {
    const { newest } = this.panel.messages;
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) this.form.requestSubmit();
    else if (event.key === "ArrowUp" && newest && !this.field.value && !this.#edited) this.edit(newest);
    else if (event.key === "Escape" && this.#edited) this.#stopEditing();
    else return;
    event.preventDefault();
  }

  /** @param {any[]} [files] uploaded attachments */
  async #send(files = []) {
    const { openConversation, messages, client, recipientId } = this.panel;
    const content = this.field.value.trim();
    const edited = this.#edited;
    if (edited && content !== edited.content) await openConversation.edit(edited.id, content);
    if (edited) return this.#stopEditing();
    if (!content && !files.length) return;
    set(this.field, { value: "" });
    messages.atEnd = true;
    const type = files.every((file) => file.type.startsWith("image/")) ? "image" : "file";
    const more = files.length ? { attachmentIds: files.map(({ id }) => id), type } : {};
    if (openConversation) await openConversation.send(content, more);
    else if (recipientId) this.panel.firstMessageId = await client.sendMessage({ recipientId, content, ...more });
  }

  async #attach() {
    const { panel } = this;
    const files = [];
    set(this.clip, { disabled: true });
    for (const file of this.file.files) {
      const body = new FormData();
      body.append("file", file);
      const uploaded = await panel.attempt(panel.client.request("POST", "/api/attachments", body));
      if (uploaded) files.push(uploaded);
    }
    set(this.file, { value: "" });
    set(this.clip, { disabled: false });
    if (files.length) await panel.attempt(this.#send(files));
  }
}
