/** `<toast-region>`: what has just happened, for five seconds; never the only copy. */

import { HubElement, actionButtons, h, iconButton, iconOf, listen, sheet } from "./base-element.js";
import { wordsOf } from "./texts.js";

const STAYS = 5_000;
const MOST = 4;
const ASSERTIVE = ["hire", "payment"];

export class ToastRegion extends HubElement {
  static sheet = sheet(`
  :host { position: fixed; top: var(--hub-toast-top, 1rem); inset-inline-end: 1rem; width: min(23rem, calc(100vw - 2rem)); z-index: var(--hub-toast-layer, 60); pointer-events: none; }
  ol { display: grid; gap: .625rem; }
  li { pointer-events: auto; display: grid; grid-template-columns: auto 1fr auto; gap: .125rem .75rem; padding: .875rem .625rem .875rem 1rem; background: var(--_card); border: 1px solid var(--_line);
    border-radius: var(--_radius); box-shadow: var(--_shadow); animation: come .24s cubic-bezier(.2, .8, .2, 1); cursor: pointer; }
  li.urgent { border-inline-start: 3px solid var(--_spark); }
  strong { font-weight: 650; font-size: .9375rem; overflow-wrap: anywhere; }
  .icon { width: 1.75rem; min-height: 1.75rem; align-self: start; }`);
  /** Said already, by id: however an event comes, it is toasted once. */
  #said = new Set();
  #timers = new Map();

  build() {
    this.list = h("ol", { part: "list" });
    this.polite = h("div", { className: "unseen", "aria-live": "polite" });
    this.assertive = h("div", { className: "unseen", "aria-live": "assertive" });
    this.root.append(h("section", { ariaLabel: this.words.notifications, tabIndex: -1 }, this.list), this.polite, this.assertive);
    this.list.onpointerenter = () => this.#pause();
    this.list.onpointerleave = () => this.#resume();
    this.list.addEventListener("focusin", () => this.#pause());
    this.list.addEventListener("focusout", () => this.#resume());
  }

  hearing() {
    const { client } = this;
    const once = (act) => (event) => event.show && !event.late && !this.#known(event.data.id) && act(event.data);
    return [
      listen(document, "visibilitychange", () => (document.hidden ? this.#pause() : this.#resume())),
      listen(document, "keydown", (event) => {
        if (event.altKey && event.code === "KeyT") this.list.querySelector("button")?.focus();
        if (event.key === "Escape" && this.list.matches(":focus-within")) this.#drop(this.root.activeElement.closest("li"));
      }),
      client.on(
        "notification",
        once((item) =>
          this.show({
            ...wordsOf(item, this.language),
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
        once((job) => this.#job(job)),
      ),
      client.on(
        "absence",
        ({ show, data }) => show && this.show({ title: this.words.away, body: this.words.missed(data.count), icon: "🌙" }),
      ),
      client.on("signed-out", () => this.#clear()),
    ];
  }

  #known(id) {
    if (this.#said.has(id)) return true;
    this.#said.add(id);
    if (this.#said.size > 500) this.#said.delete(this.#said.values().next().value);
    return false;
  }

  /** A freelancer hears of jobs that ask for a skill of theirs; where either side names none, of all. */
  #job(job) {
    const { user } = this.client.getSnapshot();
    const skills = new Set((user?.skills ?? []).map((skill) => skill.toLowerCase()));
    const fits = !skills.size || !job.skills.length || job.skills.some((skill) => skills.has(skill.toLowerCase()));
    if (user?.role !== "freelancer" || !fits) return;
    const format = new Intl.NumberFormat(this.language, {
      style: "currency",
      currency: job.currency,
      // A hub's currency has cents, also where a browser shows none.
      minimumFractionDigits: 2,
      maximumFractionDigits: 2,
      trailingZeroDisplay: "stripIfInteger",
    });
    const budget = format.format(job.budget / 100);
    this.show({
      title: this.words.newJob,
      body: [job.title, [budget, job.category].filter(Boolean).join(" · ")].join("\n"),
      icon: "💼",
      url: job.url,
    });
  }

  /**
   * Show something of the page's own, too.
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
        h("p", { className: "what", textContent: body }),
        h("div", { className: "actions" }, ...buttons),
      ),
      iconButton("close", this.words.dismiss, (event) => {
        event.stopPropagation();
        this.#drop(element);
      }),
    );
    element.onclick = () => {
      this.#drop(element);
      if (item) this.client.read(item.id).catch(() => {});
      this.navigate(url);
    };
    this.list.prepend(element);
    const passing = [...this.list.children].filter((one) => this.#timers.has(one));
    if (this.list.children.length > MOST && passing.length) this.#drop(passing.at(-1));
    const live = assertive ? this.assertive : this.polite;
    live.append(h("p", { textContent: `${title} ${body}` }));
    if (live.children.length > 5) live.firstChild.remove();
    if (!buttons.length) this.#timers.set(element, { left: STAYS, since: 0, timer: 0 });
    if (!document.hidden && !this.list.matches(":hover, :focus-within")) this.#resume();
  }

  #pause() {
    for (const clock of this.#timers.values()) {
      if (!clock.timer) continue;
      clearTimeout(clock.timer);
      clock.left -= Date.now() - clock.since;
      clock.timer = 0;
    }
  }

  #resume() {
    for (const [element, clock] of this.#timers) {
      if (clock.timer) continue;
      clock.since = Date.now();
      clock.timer = setTimeout(() => this.#drop(element), Math.max(500, clock.left));
    }
  }

  #drop(element) {
    if (!element) return;
    clearTimeout(this.#timers.get(element)?.timer);
    this.#timers.delete(element);
    element.remove();
  }

  #clear() {
    for (const element of [...this.list.children]) this.#drop(element);
  }
}
