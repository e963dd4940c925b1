/** `<toast-region>`: shows new notifications for five seconds. */

import { HubElement, actionButtons, h, iconButton, iconOf, listen, styleSheet } from "./base-element.js";
import { notificationText } from "./texts.js";

const TOAST_MS = 5_000;
const MAX_TOASTS = 4;
const ASSERTIVE = ["hire", "payment"];

export class ToastRegion extends HubElement {
  static styles = styleSheet(`
  :host { position: fixed; top: var(--hub-toast-top, 1rem); inset-inline-end: 1rem; width: min(23rem, calc(100vw - 2rem)); z-index: var(--hub-toast-layer, 60); pointer-events: none; }
  ol { display: grid; gap: .625rem; }
  li { pointer-events: auto; display: grid; grid-template-columns: auto 1fr auto; gap: .125rem .75rem; padding: .875rem .625rem .875rem 1rem; background: var(--_card); border: 1px solid var(--_line);
    border-radius: var(--_radius); box-shadow: var(--_shadow); animation: appear .24s cubic-bezier(.2, .8, .2, 1); cursor: pointer; }
  li.urgent { border-inline-start: 3px solid var(--_spark); }
  strong { font-weight: 650; font-size: .9375rem; overflow-wrap: anywhere; }
  .icon { width: 1.75rem; min-height: 1.75rem; align-self: start; }`);
  /** Ids of events that were shown. An event is shown once, however often it arrives. */
  #shown = new Set();
  #timers = new Map();

  build() {
    this.list = h("ol", { part: "list" });
    this.polite = h("div", { className: "visually-hidden", "aria-live": "polite" });
    this.assertive = h("div", { className: "visually-hidden", "aria-live": "assertive" });
    this.root.append(h("section", { ariaLabel: this.texts.notifications, tabIndex: -1 }, this.list), this.polite, this.assertive);
    this.list.onpointerenter = () => this.#pause();
    this.list.onpointerleave = () => this.#resume();
    this.list.addEventListener("focusin", () => this.#pause());
    this.list.addEventListener("focusout", () => this.#resume());
  }

  subscriptions() {
    const { client } = this;
    const once = (show) => (event) => event.show && !event.late && !this.#wasShown(event.data.id) && show(event.data);
    return [
      listen(document, "visibilitychange", () => (document.hidden ? this.#pause() : this.#resume())),
      listen(document, "keydown", (event) => {
        if (event.altKey && event.code === "KeyT") this.list.querySelector("button")?.focus();
        if (event.key === "Escape" && this.list.matches(":focus-within")) this.#remove(this.root.activeElement.closest("li"));
      }),
      client.on(
        "notification",
        once((item) =>
          this.show({
            ...notificationText(item, this.language),
            icon: iconOf(item),
            item,
            url: item.url,
            priority: item.priority,
            assertive: ASSERTIVE.includes(item.category),
          }),
        ),
      ),
      client.on(
        "announcement",
        once(({ title, body, url, priority }) => this.show({ title, body, icon: "📣", url, priority })),
      ),
      client.on(
        "job_created",
        once((job) => this.#showJob(job)),
      ),
      client.on(
        "absence",
        ({ show, data }) => show && this.show({ title: this.texts.away, body: this.texts.missed(data.count), icon: "🌙" }),
      ),
      client.on("signed-out", () => this.#clear()),
    ];
  }

  #wasShown(id) {
    if (this.#shown.has(id)) return true;
    this.#shown.add(id);
    if (this.#shown.size > 500) this.#shown.delete(this.#shown.values().next().value);
    return false;
  }

  /** Show a new job to freelancers with a matching skill; without skills on either side, to all freelancers. */
  #showJob(job) {
    const { user } = this.client.getSnapshot();
    const skills = new Set((user?.skills ?? []).map((skill) => skill.toLowerCase()));
    const fits = !skills.size || !job.skills.length || job.skills.some((skill) => skills.has(skill.toLowerCase()));
    if (user?.role !== "freelancer" || !fits) return;
    const format = new Intl.NumberFormat(this.language, {
      style: "currency",
      currency: job.currency,
      // Amounts are in hundredths in every currency of a hub, even where browsers show no decimals.
      minimumFractionDigits: 2,
      maximumFractionDigits: 2,
      trailingZeroDisplay: "stripIfInteger",
    });
    const budget = format.format(job.budget / 100);
    this.show({
      title: this.texts.newJob,
      body: [job.title, [budget, job.category].filter(Boolean).join(" · ")].join("\n"),
      icon: "💼",
      url: job.url,
    });
  }

  /**
   * Show a toast; pages may call it.
   * @param {{title: string, body?: string, icon?: string, url?: string, item?: any, priority?: string, assertive?: boolean}} toast
   */
  show({ title, body = "", icon = "🔔", url, item, priority, assertive }) {
    const buttons = item ? actionButtons(this, item) : [];
    const element = h(
      "li",
      { part: "toast", "data-testid": "toast", className: priority === "urgent" || priority === "high" ? "urgent" : "" },
      h("i", { className: "emoji", textContent: icon, "aria-hidden": "true" }),
      h(
        "div",
        {},
        h("strong", { textContent: title }),
        h("p", { className: "excerpt", textContent: body }),
        h("div", { className: "actions" }, ...buttons),
      ),
      iconButton("close", this.texts.dismiss, (event) => {
        event.stopPropagation();
        this.#remove(element);
      }),
    );
    element.onclick = () => {
      this.#remove(element);
      if (item) this.client.read(item.id).catch(() => {});
      this.navigate(url);
    };
    this.list.prepend(element);
    const temporary = [...this.list.children].filter((one) => this.#timers.has(one));
    if (this.list.children.length > MAX_TOASTS && temporary.length) this.#remove(temporary.at(-1));
    const live = assertive ? this.assertive : this.polite;
    live.append(h("p", { textContent: `${title} ${body}` }));
    if (live.children.length > 5) live.firstChild.remove();
    if (!buttons.length) this.#timers.set(element, { left: TOAST_MS, since: 0, id: 0 });
    if (!document.hidden && !this.list.matches(":hover, :focus-within")) this.#resume();
  }

  #pause() {
    for (const timer of this.#timers.values()) {
      if (!timer.id) continue;
      clearTimeout(timer.id);
      timer.left -= Date.now() - timer.since;
      timer.id = 0;
    }
  }

  #resume() {
    for (const [element, timer] of this.#timers) {
      if (timer.id) continue;
      timer.since = Date.now();
      timer.id = setTimeout(() => this.#remove(element), Math.max(500, timer.left));
    }
  }

  #remove(element) {
    if (!element) return;
    clearTimeout(this.#timers.get(element)?.id);
    this.#timers.delete(element);
    element.remove();
  }

  #clear() {
    for (const element of [...this.list.children]) this.#remove(element);
  }
}
