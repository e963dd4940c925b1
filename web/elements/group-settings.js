/** A group: what it is called, who is in it, who joins, and the way out; or a new one. */

import { h, set, showAll, textButton } from "./base-element.js";

const PATH = "/api/conversations";

export class Group {
  /** The group that is shown; null for a new one. */
  #group = null;
  /** Whose making it is cannot be seen from outside: known once the hub refuses. */
  #foreign = new Set();

  /** @param {import("./chat-panel.js").ChatPanel} panel shows it in the place of the messages */
  constructor(panel) {
    this.panel = panel;
    const { words } = panel;
    this.title = h("input", { maxLength: 80 });
    this.members = h("ul", { ariaLabel: words.members });
    this.known = h("ul");
    this.history = h("input", { type: "checkbox" });
    this.past = h("label", { className: "line" }, this.history, words.history);
    this.hint = h("p", { className: "soft", textContent: words.groupHint });
    this.join = h("fieldset", {}, h("legend", { textContent: words.add }), this.hint, this.known, this.past);
    this.make = h("button", { className: "primary" });
    this.leave = panel.twice(words.leave, () => this.#remove(panel.me));
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
      h("label", {}, words.groupName, this.title),
      this.members,
      this.join,
      h(
        "div",
        { className: "row" },
        this.make,
        textButton(words.close, () => this.close()),
        this.leave,
      ),
    );
  }

  get open() {
    return !this.box.hidden;
  }

  /** It is being made. */
  get fresh() {
    return !this.#group;
  }

  /** @param {any} [group] a new one when absent */
  show(group = null) {
    const { words } = this.panel;
    this.#group = group;
    set(this.title, { value: group?.title ?? "" });
    set(this.make, { textContent: group ? words.save : words.create });
    set(this.box, { hidden: false });
    this.known.replaceChildren();
    this.panel.drawTalk();
    this.title.focus();
  }

  close() {
    if (!this.open) return;
    set(this.box, { hidden: true });
    this.panel.drawTalk();
  }

  /** @param {any} group as it is now @param {any[]} people those one has talked to */
  draw(group, people) {
    const { words, me } = this.panel;
    if (this.#group) this.#group = group ?? this.#group;
    const members = this.#group?.members ?? [];
    const foreign = this.#foreign.has(this.#group?.id);
    const more = people.filter(({ id }) => members.every((member) => member.id !== id));
    set(this.title, { readOnly: foreign });
    for (const part of [this.leave, this.members, this.past]) set(part, { hidden: !this.#group });
    for (const part of [this.join, this.make]) set(part, { hidden: foreign });
    set(this.hint, { hidden: more.length > 0 });
    // A row is another only when it shows something else: a question asked in it waits for its answer.
    showAll(
      this.members,
      members.map(({ id, name }) => ({ id, name, said: id + name + foreign })),
      ({ id, name }) =>
        h(
          "li",
          { "data-testid": "member" },
          id === me ? `${name} (${words.you})` : name,
          id !== me &&
            !foreign &&
            this.panel.twice(words.remove, () => this.#remove(id), { ariaLabel: `${words.remove}: ${name}` }),
        ),
      () => {},
      "said",
    );
    showAll(
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
    if (title !== this.#group.title) await this.#ask("PATCH", path, { title });
    if (ids.length) await this.#ask("POST", `${path}/members`, { userIds: ids, history: this.history.checked });
    return this.close();
  }

  async #remove(userId) {
    await this.#ask("DELETE", `${PATH}/${this.#group.id}/members/${userId}`);
    if (userId === this.panel.me) this.panel.pick("");
  }

  /** What it changes comes back as an event. */
  #ask(method, path, body) {
    return this.panel.client.request(method, path, body).catch((error) => {
      if (error.status === 403) this.#foreign.add(this.#group.id);
      throw error;
    });
  }
}
