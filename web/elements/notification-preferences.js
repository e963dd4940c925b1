/** `<notification-preferences>`: category by way, quiet hours, push to this device. */

import { HubElement, h, set, sheet, textButton } from "./base-element.js";
import { pushState, turnOffPush, turnOnPush } from "./push-subscription.js";

const WAYS = ["inApp", "push", "email"];
/** What is about one's work and money cannot be turned off in the app. */
const LOCKED = ["hire", "payment"];
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

export class NotificationPreferences extends HubElement {
  static sheet = sheet(`
  :host { display: block; }
  form { display: grid; gap: 1.5rem; }
  h3 { font-size: 1rem; font-weight: 650; }
  table { width: 100%; border-collapse: collapse; }
  th { font-weight: 550; font-size: .875rem; text-align: start; color: var(--_soft); padding: .25rem 0; }
  tbody th { color: var(--_ink); font-size: .9375rem; }
  td, thead th:not(:first-child) { text-align: center; width: 5.5rem; }
  tr + tr > *, tbody > tr:first-child > * { border-top: 1px solid var(--_line); }
  tbody tr > * { height: 2.75rem; }`);
  #asked = false;

  build() {
    const { words } = this;
    this.rows = h("tbody");
    this.note = h("p", { role: "status", className: "soft" });
    this.zone = h("input", { name: "zone", readOnly: true, value: Intl.DateTimeFormat().resolvedOptions().timeZone });
    this.on = h("input", { type: "checkbox" });
    this.from = h("input", { type: "time", value: "22:00" });
    this.to = h("input", { type: "time", value: "07:00" });
    this.days = DAYS.map((day) => h("input", { type: "checkbox", checked: true, name: day }));
    this.device = h("div", { className: "row" });
    this.deviceNote = h("p", { className: "soft", role: "status" });
    this.fields = h(
      "fieldset",
      { disabled: true },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, h("span", { className: "unseen", textContent: words.preferences })),
            ...WAYS.map((way) => h("th", { scope: "col", textContent: words[way] })),
          ),
        ),
        this.rows,
      ),
      h("p", { className: "soft", textContent: words.locked }),
      h("h3", { textContent: words.quiet }),
      h("label", { className: "line" }, this.on, words.quietHint),
      h(
        "div",
        { className: "row" },
        h("label", {}, words.from, this.from),
        h("label", {}, words.to, this.to),
        h("label", {}, words.timeZone, this.zone),
      ),
      h(
        "div",
        { className: "row" },
        ...this.days.map((box, index) =>
          h(
            "label",
            { className: "line" },
            box,
            new Date(2024, 0, index + 1).toLocaleDateString(this.language, { weekday: "short" }),
          ),
        ),
      ),
    );
    this.root.append(
      h(
        "form",
        { part: "form", onsubmit: (event) => event.preventDefault(), onchange: () => this.#save() },
        this.fields,
        this.note,
        h("h3", { textContent: words.push }),
        this.device,
        this.deviceNote,
      ),
    );
  }

  draw({ user, status }) {
    if (!user || this.#asked || status === "offline") return;
    this.#asked = true;
    this.#load();
    this.#drawDevice();
  }

  async #load() {
    const { words } = this;
    try {
      this.kept = await this.client.request("GET", "/api/notifications/preferences");
    } catch (error) {
      this.#asked = error.status === 404;
      set(this.fields, { hidden: error.status === 404 });
      return set(this.note, { textContent: error.message });
    }
    set(this.fields, { disabled: false });
    const { categories = {}, quietHours } = this.kept;
    this.rows.replaceChildren(
      ...Object.entries(words.categories).map(([category, name]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", textContent: name }),
          ...WAYS.map((way) =>
            h(
              "td",
              {},
              h("input", {
                type: "checkbox",
                ariaLabel: `${name}: ${words[way]}`,
                checked: categories[category]?.[way] ?? way === "inApp",
                disabled: way === "inApp" && LOCKED.includes(category),
                name: `${category}.${way}`,
              }),
            ),
          ),
        ),
      ),
    );
    set(this.on, { checked: Boolean(quietHours) });
    if (!quietHours) return;
    set(this.from, { value: quietHours.from });
    set(this.to, { value: quietHours.to });
    set(this.zone, { value: quietHours.timeZone });
    for (const box of this.days) set(box, { checked: !quietHours.days || quietHours.days.includes(box.name) });
  }

  #save() {
    const categories = {};
    for (const box of this.rows.querySelectorAll("input")) {
      const [category, way] = box.name.split(".");
      (categories[category] ??= {})[way] = box.checked;
    }
    const days = this.days.filter((box) => box.checked).map((box) => box.name);
    const quietHours = this.on.checked ? { from: this.from.value, to: this.to.value, timeZone: this.zone.value, days } : null;
    // One after the other: what was chosen last is what is kept.
    this.saving = this.attempt(
      Promise.resolve(this.saving)
        .then(() => this.client.request("PUT", "/api/notifications/preferences", { categories, quietHours }))
        .then(() => set(this.note, { textContent: this.words.saved })),
    );
  }

  async #drawDevice(note = "") {
    const { client, words } = this;
    const state = await pushState().catch(() => "none");
    const act = (label, run, className = "") =>
      textButton(
        label,
        () => this.attempt(run().then((now) => this.#drawDevice(now === "tested" ? words.pushTested : ""))),
        className,
      );
    this.device.replaceChildren(
      ...({
        off: () => [act(words.pushOn, () => turnOnPush(client), "primary")],
        on: () => [
          act(words.pushTest, () => client.request("POST", "/api/push/test").then(() => "tested")),
          act(words.pushOff, () => turnOffPush(client), "quiet"),
        ],
      }[state]?.() ?? []),
    );
    set(this.deviceNote, {
      textContent: note || { none: words.pushNone, ios: words.pushIos, denied: words.pushDenied }[state] || "",
    });
  }

  failed(error) {
    set(this.note, { textContent: error.message });
    set(this.deviceNote, { textContent: error.message });
  }
}
