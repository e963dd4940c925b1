/** `<notification-preferences>`: delivery methods per category, quiet hours, push to this device. */

import { HubElement, h, set, styleSheet, textButton } from "./base-element.js";
import { pushState, turnOffPush, turnOnPush } from "./push-subscription.js";

const METHODS = ["inApp", "push", "email"];
/** Categories that cannot be turned off in the app. */
const LOCKED = ["hire", "payment"];
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

export class NotificationPreferences extends HubElement {
  static styles = styleSheet(`
  :host { display: block; }
  form { display: grid; gap: 1.5rem; }
  h3 { font-size: 1rem; font-weight: 650; }
  table { width: 100%; border-collapse: collapse; }
  th { font-weight: 550; font-size: .875rem; text-align: start; color: var(--_soft); padding: .25rem 0; }
  tbody th { color: var(--_ink); font-size: .9375rem; }
  td, thead th:not(:first-child) { text-align: center; width: 5.5rem; }
  tr + tr > *, tbody > tr:first-child > * { border-top: 1px solid var(--_line); }
  tbody tr > * { height: 2.75rem; }`);
  #requested = false;

  build() {
    const { texts } = this;
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
            h("th", { scope: "col" }, h("span", { className: "visually-hidden", textContent: texts.preferences })),
            ...METHODS.map((method) => h("th", { scope: "col", textContent: texts[method] })),
          ),
        ),
        this.rows,
      ),
      h("p", { className: "soft", textContent: texts.locked }),
      h("h3", { textContent: texts.quiet }),
      h("label", { className: "line" }, this.on, texts.quietHint),
      h(
        "div",
        { className: "row" },
        h("label", {}, texts.from, this.from),
        h("label", {}, texts.to, this.to),
        h("label", {}, texts.timeZone, this.zone),
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
        h("h3", { textContent: texts.push }),
        this.device,
        this.deviceNote,
      ),
    );
  }

  render({ user, status }) {
    if (!user || this.#requested || status === "offline") return;
    this.#requested = true;
    this.#load();
    this.#renderDevice();
  }

  async #load() {
    const { texts } = this;
    try {
      this.loaded = await this.client.request("GET", "/api/notifications/preferences");
    } catch (error) {
      this.#requested = error.status === 404;
      set(this.fields, { hidden: error.status === 404 });
      return set(this.note, { textContent: error.message });
    }
    set(this.fields, { disabled: false });
    const { categories = {}, quietHours } = this.loaded;
    this.rows.replaceChildren(
      ...Object.entries(texts.categories).map(([category, name]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", textContent: name }),
          ...METHODS.map((method) =>
            h(
              "td",
              {},
              h("input", {
                type: "checkbox",
                ariaLabel: `${name}: ${texts[method]}`,
                checked: categories[category]?.[method] ?? method === "inApp",
                disabled: method === "inApp" && LOCKED.includes(category),
                name: `${category}.${method}`,
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
      const [category, method] = box.name.split(".");
      (categories[category] ??= {})[method] = box.checked;
    }
    const days = this.days.filter((box) => box.checked).map((box) => box.name);
    const quietHours = this.on.checked ? { from: this.from.value, to: this.to.value, timeZone: this.zone.value, days } : null;
    // Requests are sent one after the other, so that the last choice is stored.
    this.saving = this.attempt(
      Promise.resolve(this.saving)
        .then(() => this.client.request("PUT", "/api/notifications/preferences", { categories, quietHours }))
        .then(() => set(this.note, { textContent: this.texts.saved })),
    );
  }

  async #renderDevice(note = "") {
    const { client, texts } = this;
    const state = await pushState().catch(() => "none");
    const action = (label, run, className = "") =>
      textButton(
        label,
        () => this.attempt(run().then((now) => this.#renderDevice(now === "tested" ? texts.pushTested : ""))),
        className,
      );
    this.device.replaceChildren(
      ...({
        off: () => [action(texts.pushOn, () => turnOnPush(client), "primary")],
        on: () => [
          action(texts.pushTest, () => client.request("POST", "/api/push/test").then(() => "tested")),
          action(texts.pushOff, () => turnOffPush(client), "quiet"),
        ],
      }[state]?.() ?? []),
    );
    set(this.deviceNote, {
      textContent: note || { none: texts.pushNone, ios: texts.pushIos, denied: texts.pushDenied }[state] || "",
    });
  }

  showError(error) {
    set(this.note, { textContent: error.message });
    set(this.deviceNote, { textContent: error.message });
  }
}
