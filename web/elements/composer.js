/** Where one writes: a message, files with it, or other words for one that was sent. */

import { h, iconButton, set, textButton } from "./base-element.js";

export class Composer {
  #edited = null;
  /** What was begun elsewhere, and is there when one comes back. */
  #drafts = new Map();
  #place = "";

  /** @param {import("./chat-panel.js").ChatPanel} panel */
  constructor(panel) {
    const { words } = panel;
    this.panel = panel;
    this.field = h("textarea", {
      rows: 1,
      maxLength: 5000,
      placeholder: words.write,
      ariaLabel: words.write,
      "aria-describedby": "chatkeys",
      oninput: () => panel.talk?.type(),
      onkeydown: (event) => this.#key(event),
    });
    this.file = h("input", { type: "file", hidden: true, multiple: true, onchange: () => this.#attach() });
    this.clip = iconButton("clip", words.attach, () => this.file.click());
    this.bar = h(
      "p",
      { className: "typing soft", role: "status", hidden: true },
      `${words.editing} `,
      textButton(words.cancel, () => this.#stop(), "quiet"),
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
      iconButton("send", words.send, () => this.form.requestSubmit(), { className: "icon primary" }),
      h("p", { className: "unseen", id: "chatkeys", textContent: words.chatKeys }),
    );
  }

  /** Another conversation is shown. @param {string} place its id; "" before it has one */
  enter(place) {
    this.#stop();
    if (this.#place) {
      this.#drafts.set(this.#place, this.field.value);
      set(this.field, { value: this.#drafts.get(place) ?? "" });
    }
    this.#place = place;
  }

  /** Give a message other words. @param {{id: string, content: string}} message */
  edit(message) {
    if (!this.#edited) this.#drafts.set("", this.field.value);
    this.#edited = message;
    this.#show(message.content);
  }

  #stop() {
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
    const { newest } = this.panel.thread;
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) this.form.requestSubmit();
    else if (event.key === "ArrowUp" && newest && !this.field.value && !this.#edited) this.edit(newest);
    else if (event.key === "Escape" && this.#edited) this.#stop();
    else return;
    event.preventDefault();
  }

  /** @param {any[]} [files] attachments that go with it */
  async #send(files = []) {
    const { talk, thread, client, addressee } = this.panel;
    const content = this.field.value.trim();
    const edited = this.#edited;
    if (edited && content !== edited.content) await talk.edit(edited.id, content);
    if (edited) return this.#stop();
    if (!content && !files.length) return;
    set(this.field, { value: "" });
    thread.near = true;
    const type = files.every((file) => file.type.startsWith("image/")) ? "image" : "file";
    const more = files.length ? { attachmentIds: files.map(({ id }) => id), type } : {};
    if (talk) await talk.send(content, more);
    else if (addressee) this.panel.first = await client.sendMessage({ recipientId: addressee, content, ...more });
  }

  async #attach() {
    const { panel } = this;
    const files = [];
    set(this.clip, { disabled: true });
    for (const file of this.file.files) {
      const body = new FormData();
      body.append("file", file);
      const made = await panel.attempt(panel.client.request("POST", "/api/attachments", body));
      if (made) files.push(made);
    }
    set(this.file, { value: "" });
    set(this.clip, { disabled: false });
    if (files.length) await panel.attempt(this.#send(files));
  }
}
