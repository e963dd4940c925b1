/** Creates a group, and edits its title and its members. */

import { h, set, renderList, textButton } from "./base-element.js";

const PATH = "/api/conversations";

export class GroupSettings {
  /** The group; null for a new one. */
  #group = null;
  /** Groups that the user may not change. The hub does not report who created a group; it rejects the first change. */
  #readOnly = new Set();

  /** @param {import("./chat-panel.js").ChatPanel} panel shows it instead of the messages */
  constructor(panel) {
    this.panel = panel;
    const { texts } = panel;
    this.title = h("input", { maxLength: 80 });
    this.members = h("ul", { ariaLabel: texts.members });
    this.known = h("ul");
    this.history = h("input", { type: "checkbox" });
    this.past = h("label", { className: "line" }, this.history, texts.history);
    this.hint = h("p", { className: "soft", textContent: texts.groupHint });
    this.join = h("fieldset", {}, h("legend", { textContent: texts.add }), this.hint, this.known, this.past);
    this.submit = h("button", { className: "primary" });
    this.leave = panel.confirmButton(texts.leave, () => this.#remove(panel.userId));
    this.box = h(
      "form",
      {
        className: "group",
        hidden: true,
        onsubmit: (event) => {
          event.preventDefault();
          panel.attempt(this.#save());
        },
      },
      h("label", {}, texts.groupName, this.title),
      this.members,
      this.join,
      h(
        "div",
        { className: "row" },
        this.submit,
        textButton(texts.close, () => this.close()),
        this.leave,
      ),
    );
  }

  get open() {
    return !this.box.hidden;
  }

  /** Whether the group is not created yet. */
  get isNew() {
    return !this.#group;
  }

  /** @param {any} [group] a new one by default */
  show(group = null) {
    const { texts } = this.panel;
    this.#group = group;
    set(this.title, { value: group?.title ?? "" });
    set(this.submit, { textContent: group ? texts.save : texts.create });
    set(this.box, { hidden: false });
    this.known.replaceChildren();
    this.panel.renderConversation();
    this.title.focus();
  }

  close() {
    if (!this.open) return;
    set(this.box, { hidden: true });
    this.panel.renderConversation();
  }

  /** @param {any} group its current state @param {any[]} people users in the user's conversations */
  render(group, people) {
    const { texts, userId: me } = this.panel;
    if (this.#group) this.#group = group ?? this.#group;
    const members = this.#group?.members ?? [];
    const readOnly = this.#readOnly.has(this.#group?.id);
    const more = people.filter(({ id }) => members.every((member) => member.id !== id));
    set(this.title, { readOnly });
    for (const part of [this.leave, this.members, this.past]) set(part, { hidden: !this.#group });
    for (const part of [this.join, this.submit]) set(part, { hidden: readOnly });
    set(this.hint, { hidden: more.length > 0 });
    // A row is replaced only if its text changes, so that a confirmation in it is not lost.
    renderList(
      this.members,
      members.map(({ id, name }) => ({ id, name, key: id + name + readOnly })),
      ({ id, name }) =>
        h(
          "li",
          { "data-testid": "member" },
          id === me ? `${name} (${texts.you})` : name,
          id !== me &&
            !readOnly &&
            this.panel.confirmButton(texts.remove, () => this.#remove(id), { ariaLabel: `${texts.remove}: ${name}` }),
        ),
      () => {},
      "key",
    );
    renderList(
      this.known,
      more,
      ({ id, name }) => h("li", {}, h("label", { className: "line" }, h("input", { type: "checkbox", value: id }), name)),
      () => {},
    );
  }

  async #save() {
    const { client, pick } = this.panel;
    const ids = [...this.known.querySelectorAll(":checked")].map(({ value }) => value);
    const title = this.title.value.trim() || null;
    if (!this.#group) return pick((await client.request("POST", PATH, { title, memberIds: ids })).id);
    const path = `${PATH}/${this.#group.id}`;
    if (title !== this.#group.title) await this.#request("PATCH", path, { title });
    if (ids.length) await this.#request("POST", `${path}/members`, { userIds: ids, history: this.history.checked });
    return this.close();
  }

  async #remove(userId) {
    await this.#request("DELETE", `${PATH}/${this.#group.id}/members/${userId}`);
    if (userId === this.panel.userId) this.panel.pick("");
  }

  /** The hub publishes the change as an event, which updates the panel. */
  #request(method, path, body) {
    return this.panel.client.request(method, path, body).catch((error) => {
      if (error.status === 403) this.#readOnly.add(this.#group.id);
      throw error;
    });
  }
}
