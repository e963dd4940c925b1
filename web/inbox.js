/** The inbox of the signed-in user: badge, list, what is read and what is not. */

import { Fresh, attempt, copy, part, sentence, showAll, write, writeTime } from "/static/dom.js";
import { actionButton } from "/static/toasts.js";

const UNDO_FOR = 30_000;
const ICONS = /** @type {Record<string, string>} */ ({
  hired: "🎉", bid_received: "📝", bid_rejected: "📄", job_created: "💼", announcement: "📣",
});

/** @param {{icon?: string | null, type: string}} notification */
export function iconOf({ icon, type }) {
  return icon || ICONS[type] || "🔔";
}

export class Inbox {
  /** @type {any[]} newest first */
  #items = [];
  #unread = 0;
  #undo = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #undoEnds;
  cursor = "";

  /** @param {HTMLElement} desk @param {import("/static/api.js").Api} api @param {(jobId: string) => boolean} reveal */
  constructor(desk, api, reveal) {
    this.api = api;
    this.reveal = reveal;
    this.bell = part(desk, "bell");
    this.panel = part(desk, "inbox");
    this.fresh = new Fresh(() => this.#load(), this.panel);
    this.bell.addEventListener("click", () => {
      this.open(this.panel.hidden);
      this.panel.focus();
    });
    this.panel.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.open(false);
    });
    this.#button("read-all", () => this.#readAll());
    this.#button("undo", () => this.#putBack());
    this.open(matchMedia("(min-width: 60rem)").matches);
  }

  /** @param {boolean} open */
  open(open) {
    if (!open && this.panel.contains(document.activeElement)) this.bell.focus();
    this.panel.hidden = !open;
    this.bell.setAttribute("aria-expanded", String(open));
  }

  /** The `notification` event. @param {any} notification */
  add(notification) {
    this.#items = [notification, ...this.#items.filter((item) => item.id !== notification.id)];
    this.fresh.touch();
    this.count(notification.unread);
    this.#render();
  }

  /** The `notification_state` event: changed in another tab, or by the hub. @param {any} change */
  apply(change) {
    this.count(change.unread);
    if (change.all || !["read", "unread", "retracted"].includes(change.state)) return this.fresh.ask();
    const ids = new Set(change.ids);
    if (change.state === "retracted") this.#items = this.#items.filter((item) => !ids.has(item.id));
    for (const item of this.#items) if (ids.has(item.id)) item.readAt = change.state === "read" ? "now" : null;
    this.fresh.touch();
    this.#render();
  }

  /** @param {number} unread */
  count(unread) {
    this.#unread = unread;
    write(this.bell, { badge: unread > 99 ? "99+" : unread ? String(unread) : "" });
    this.bell.setAttribute("aria-label", `Notifications, ${unread} unread`);
    document.title = unread ? `(${unread}) Gigwire` : "Gigwire";
    part(this.panel, "read-all").disabled = !unread;
  }

  /** Keep that a button was pressed, then go where it leads. @param {any} item @param {any} action */
  async act(item, action) {
    try {
      await this.api.post(`/api/notifications/${item.id}/actions/${action.id}`);
      if (action.url) this.#follow(action.url);
    } catch (error) {
      write(this.panel, { error: sentence(error) });
    }
  }

  async #load() {
    const page = await this.api.get("/api/notifications");
    this.#items = page.items;
    this.cursor = page.cursor;
    this.count(page.unread);
    this.#render();
  }

  async #readAll() {
    const { undo } = await this.api.post("/api/realtime/notifications/read", { all: true, before: this.#items[0].id });
    this.#undo = undo;
    part(this.panel, "undone").hidden = false;
    clearTimeout(this.#undoEnds);
    this.#undoEnds = setTimeout(() => (part(this.panel, "undone").hidden = true), UNDO_FOR);
    await this.fresh.ask();
  }

  async #putBack() {
    part(this.panel, "undone").hidden = true;
    await this.api.post("/api/realtime/notifications/undo", { undo: this.#undo });
    await this.fresh.ask();
  }

  /** @param {any} item */
  async #read(item) {
    const { unread } = await this.api.post("/api/realtime/notifications/read", { ids: [item.id] });
    this.apply({ ids: [item.id], state: "read", unread });
  }

  /** @param {string} name @param {() => Promise<void>} act */
  #button(name, act) {
    const button = part(this.panel, name);
    button.addEventListener("click", () => attempt(this.panel, act, button).then(() => this.count(this.#unread)));
  }

  #render() {
    part(this.panel, "empty").hidden = this.#items.length > 0;
    showAll(part(this.panel, "list"), this.#items, (item) => this.#make(item), (element, shown) => this.#show(element, shown));
  }

  /** @param {any} item */
  #make(item) {
    const element = copy("notification");
    const read = part(element, "read");
    read.addEventListener("click", () => attempt(element, () => this.#read(item), read));
    part(element, "open").addEventListener("click", () => this.#follow(item.url));
    return element;
  }

  /** @param {HTMLElement} element @param {any} item */
  #show(element, item) {
    const times = item.count > 1 ? ` (${item.count}×)` : "";
    write(element, { icon: iconOf(item), title: item.title + times, body: item.body });
    writeTime(element, item.createdAt);
    element.classList.toggle("unread", !item.readAt);
    part(element, "read").hidden = Boolean(item.readAt);
    part(element, "open").hidden = !item.url;
    const open = item.actions.filter((/** @type {any} */ action) => !action.done);
    part(element, "actions").replaceChildren(
      ...open.map((/** @type {any} */ action) => actionButton(action, () => this.act(item, action))),
    );
  }

  /** A job is shown where it is on this page, anything else where it is. @param {string} url */
  #follow(url) {
    const { protocol, pathname } = new URL(url, location.href);
    const isJob = pathname.startsWith("/jobs/");
    if (isJob && !this.reveal(pathname.slice("/jobs/".length))) write(this.panel, { error: "This job is no longer listed here." });
    if (!isJob && [location.protocol, "https:"].includes(protocol)) open(url, "_blank", "noopener");
  }
}
