/** `<notification-center>`: the inbox with filters, undo and keyboard control. */

import { FILTERS, listed } from "../client/client.js";
import { createItem, fillItem, toggleArchived, toggleRead } from "./notification-item.js";
import { HubElement, h, iconButton, listen, set, styleSheet, renderList, textButton } from "./base-element.js";
import { offerPush } from "./push-subscription.js";
import { SeenTracker } from "./seen-tracker.js";
import { ago, timeOfDay } from "./texts.js";

const ERROR_MS = 10_000;

export class NotificationCenter extends HubElement {
  static observedAttributes = ["open"];
  static styles = styleSheet(`
  :host { display: none; }
  :host([open]), :host([inline]) { display: block; }
  :host([open]:not([inline])) { position: fixed; top: var(--hub-center-top, 4rem); inset-inline-end: 1rem; width: min(26rem, calc(100vw - 2rem)); z-index: 50; }
  .panel { background: var(--_card); border: 1px solid var(--_line); border-radius: calc(var(--_radius) * 1.25); display: flex; flex-direction: column; max-height: var(--hub-center-height, min(44rem, calc(100dvh - 5.5rem))); overflow: hidden; }
  :host([open]:not([inline])) .panel { box-shadow: var(--_shadow); animation: appear .16s ease-out; }
  @media (max-width: 34rem) { :host([open]:not([inline])) { inset: 0; width: auto; } :host([open]:not([inline])) .panel { max-height: none; height: 100dvh; border-radius: 0; border: 0; } }
  .panel:focus { outline: 0; }
  header { display: flex; align-items: center; gap: .25rem; padding: .75rem .75rem .25rem 1.25rem; }
  h2 { font-size: 1.125rem; font-weight: 650; flex: 1; letter-spacing: -.01em; }
  [role=tablist] { display: flex; gap: .125rem; padding: 0 .75rem; border-bottom: 1px solid var(--_line); overflow-x: auto; scrollbar-width: none; flex: none; }
  [role=tab] { border: 0; border-radius: 0; padding: .25rem .5rem; color: var(--_soft); font-size: .875rem; border-bottom: 2px solid transparent; margin-bottom: -1px; white-space: nowrap; }
  [aria-selected=true] { color: var(--_ink); border-color: var(--_accent); }
  .body { overflow-y: auto; flex: 1; overscroll-behavior: contain; outline-offset: -2px; }
  .bar { display: flex; align-items: center; gap: .5rem; flex-wrap: wrap; padding: .5rem 1.25rem; font-size: .875rem; background: var(--_tint); flex: none; }
  .bar span { flex: 1; min-width: 9rem; }
  .bar button { min-height: 2rem; font-size: .875rem; }
  article { display: grid; grid-template-columns: auto 1fr; gap: .125rem .75rem; padding: .875rem 1.25rem; border-bottom: 1px solid var(--_line); position: relative; outline-offset: -2px; cursor: pointer; }
  article:hover { background: color-mix(in srgb, var(--_tint) 45%, transparent); }
  article.unread::before { content: ""; position: absolute; inset-inline-start: .5rem; top: 1.4rem; width: .375rem; height: .375rem; border-radius: 50%; background: var(--_accent); }
  article.new::before { background: var(--_spark); }
  a, .title { color: inherit; text-decoration: none; font-size: .9375rem; line-height: 1.4; overflow-wrap: anywhere; }
  .unread .title { font-weight: 650; }
  .priority { color: var(--_spark); font-size: .75rem; font-weight: 650; }
  .tools { position: absolute; top: .5rem; inset-inline-end: .5rem; display: flex; visibility: hidden; background: var(--_card); border-radius: .5rem; }
  article:is(:hover, :focus-within) .tools { visibility: visible; }
  .reasons { white-space: pre-line; }
  @media (hover: none) { .tools { visibility: visible; position: static; grid-column: 2; margin-inline-start: -.5rem; background: none; } }
  .tools .icon { width: 2rem; min-height: 2rem; }
  .state { padding: 2.5rem 1.5rem; text-align: center; display: grid; gap: .25rem; justify-items: center; }
  .state b { font-weight: 650; }
  .skeleton { height: 4.5rem; margin: .75rem 1.25rem; border-radius: .5rem; background: var(--_tint); animation: pulse 1s infinite alternate; }
  .foot { padding: .75rem; text-align: center; min-height: 1px; }`);
  #filter = "all";
  #opener = null;
  #errorTimer;

  build() {
    const { texts } = this;
    const tabs = Object.keys(FILTERS).map((filter) =>
      h("button", { role: "tab", type: "button", id: filter, textContent: texts[filter], onclick: () => this.#select(filter) }),
    );
    this.tabs = h(
      "div",
      { role: "tablist", ariaLabel: texts.notifications, part: "tabs", onkeydown: (event) => this.#tabKey(event) },
      ...tabs,
    );
    this.readAll = iconButton("check", texts.markAllRead, () => this.attempt(this.client.readAll()), { part: "read-all" });
    this.undoText = h("span", { role: "status" });
    this.undoBar = h(
      "div",
      { className: "bar", part: "undo" },
      this.undoText,
      textButton(texts.undo, () => this.attempt(this.client.undo()), "quiet"),
      iconButton("close", texts.dismiss, () => this.client.forgetUndo()),
    );
    this.offlineBar = h("div", { className: "bar", part: "offline", role: "status" });
    this.pushBar = h("div", { className: "bar", part: "push", hidden: true });
    this.error = h("p", { className: "bar error", role: "alert", hidden: true });
    this.announcements = h("div", { part: "announcements" });
    this.feed = h("div", { role: "feed", part: "list", "data-testid": "inbox", ariaLabel: texts.notifications });
    this.state = h("div", { className: "state", part: "empty" });
    this.loading = h(
      "div",
      { role: "status", ariaLabel: texts.loading },
      ...[1, 2, 3].map(() => h("div", { className: "skeleton" })),
    );
    this.foot = h("div", { className: "foot soft" });
    this.body = h(
      "div",
      { className: "body", role: "tabpanel", tabIndex: 0, ariaLabel: texts.notifications, part: "body" },
      this.announcements,
      this.feed,
      this.loading,
      this.state,
      this.foot,
    );
    this.panel = h(
      "section",
      { className: "panel", part: "panel", role: "complementary", ariaLabel: texts.notifications, tabIndex: -1 },
      h(
        "header",
        { part: "header" },
        h("h2", { textContent: texts.notifications }),
        this.readAll,
        iconButton("close", texts.close, () => this.toggle(), { hidden: this.hasAttribute("inline") }),
      ),
      this.tabs,
      this.error,
      this.pushBar,
      this.offlineBar,
      this.undoBar,
      this.body,
      h("p", { className: "visually-hidden", id: "keys", textContent: texts.keys }),
    );
    this.panel.setAttribute("aria-describedby", "keys");
    this.panel.onkeydown = (event) => this.#key(event);
    this.root.append(this.panel);
    this.seen = new SeenTracker(this.body, (ids) => this.client.seen(...ids).catch(() => {}));
    this.end = new IntersectionObserver(([entry]) => entry.isIntersecting && this.#loadMore(), {
      root: this.body,
      rootMargin: "200px",
    });
    this.end.observe(this.foot);
  }

  subscriptions() {
    return [
      listen(document, "pointerdown", (event) => {
        const path = event.composedPath();
        if (this.open && !this.hasAttribute("inline") && !path.includes(this) && !path.includes(this.#opener)) this.toggle();
      }),
      listen(document, "visibilitychange", () => document.hidden && this.seen.cancel()),
    ];
  }

  get open() {
    return this.hasAttribute("open");
  }

  attributeChangedCallback() {
    if (this.isConnected && this.built) this.render(this.client.getSnapshot());
  }

  /** Open or close it. @param {HTMLElement} [opener] is focused when it closes */
  toggle(opener = this.#opener) {
    this.#opener = opener;
    this.toggleAttribute("open");
    if (this.open) this.panel.focus({ preventScroll: true });
    else opener?.focus();
    opener?.render?.(this.client.getSnapshot());
    this.dispatchEvent(new Event("toggle"));
  }

  render(state) {
    const { inbox, status, undo, announcements } = state;
    const { items, more } = listed(inbox, this.#filter);
    const { texts } = this;
    for (const tab of this.tabs.children)
      set(tab, { ariaSelected: String(tab.id === this.#filter), tabIndex: tab.id === this.#filter ? 0 : -1 });
    set(this.readAll, { disabled: !inbox.unread });
    set(this.undoBar, { hidden: !undo || !undo.token || undo.until < Date.now() });
    if (undo) set(this.undoText, { textContent: texts.did[undo.verb](undo.ids.length) });
    const isOld = status === "offline" && inbox.loaded;
    set(this.offlineBar, {
      hidden: !isOld,
      textContent: isOld ? texts.offlineSince(inbox.asOf ? timeOfDay(inbox.asOf, this.language) : "…") : "",
    });
    const now = Date.now();
    const shown = this.#filter === "all" ? announcements.filter((one) => !one.expiresAt || Date.parse(one.expiresAt) > now) : [];
    renderList(
      this.announcements,
      shown,
      () => this.#createItem(),
      (element, one) => fillItem(this, element, { ...one, type: "announcement", actions: [], count: 1, readAt: "now", seenAt: "now" }),
    );
    renderList(
      this.feed,
      items,
      () => this.#createItem(),
      (element, item) => fillItem(this, element, item),
    );
    for (const element of [...this.announcements.children, ...this.feed.children])
      set(element.querySelector("time"), { textContent: ago(element.item.createdAt, this.language) });
    [...this.feed.children].forEach((element, index) =>
      set(element, { ariaPosInSet: String(index + 1), ariaSetSize: more ? "-1" : String(items.length) }),
    );
    set(this.feed, { ariaBusy: String(inbox.loading) });
    this.#setTabStop();
    const { error } = inbox;
    const nothing = !items.length && !shown.length;
    set(this.loading, { hidden: !nothing || !inbox.loading || Boolean(inbox.error) });
    set(this.state, { hidden: !error && (!nothing || inbox.loading || more) });
    if (!this.state.hidden) this.#renderEmpty(error);
    set(this.foot, { textContent: nothing || error ? "" : more ? texts.more : texts.end });
    if (more && this.open) this.#fillPanel();
    if (!this.offered && status === "live" && items.length && globalThis.Notification?.permission === "default") {
      offerPush(this, state).catch(() => {});
    }
  }

  #renderEmpty(error) {
    const { texts } = this;
    const [title, hint] = error
      ? [error, ""]
      : this.#filter === "unread"
        ? [texts.emptyUnread, texts.emptyUnreadHint]
        : [texts.empty, texts.emptyHint];
    const again = () =>
      this.attempt(this.client.getSnapshot().inbox.loaded ? this.client.more(this.#filter) : this.client.refresh());
    this.state.replaceChildren(
      h("b", { textContent: title, role: error ? "alert" : null }),
      h("span", { className: "soft", textContent: hint }),
      error ? textButton(texts.retry, again) : "",
    );
  }

  #createItem() {
    const element = createItem((item) => this.#open(item));
    this.seen.observe(element);
    return element;
  }

  #open(item) {
    // Announcements have no read state.
    if (!item.readAt && item.category) this.attempt(this.client.read(item.id));
    if (item.url && !this.hasAttribute("inline") && this.open) this.toggle();
    this.navigate(item.url);
  }

  showError({ message }) {
    set(this.error, { textContent: message, hidden: false });
    clearTimeout(this.#errorTimer);
    this.#errorTimer = setTimeout(() => set(this.error, { hidden: true }), ERROR_MS);
  }

  #select(filter) {
    this.#filter = filter;
    this.body.scrollTop = 0;
    const { pages, loaded } = this.client.getSnapshot().inbox;
    if (loaded && !pages[filter] && (filter === "archived" || pages.all?.floor !== "")) this.attempt(this.client.more(filter));
    this.render(this.client.getSnapshot());
  }

  #loadMore() {
    const { inbox } = this.client.getSnapshot();
    if (inbox.loaded && !inbox.loading && !inbox.error && listed(inbox, this.#filter).more)
      this.attempt(this.client.more(this.#filter));
  }

  /** A page that does not fill the panel cannot be scrolled, so that the next page is fetched at once. */
  #fillPanel() {
    requestAnimationFrame(() => this.body.scrollHeight <= this.body.clientHeight + 200 && this.#loadMore());
  }

  // The tab key reaches the list once; the arrow keys, j and k move in it.
  #setTabStop(element = this.feed.querySelector("[tabindex='0']") ?? this.feed.firstElementChild) {
    for (const each of this.feed.children) set(each, { tabIndex: each === element ? 0 : -1 });
  }

  #key(event) {
    const focused = this.root.activeElement?.closest?.("article");
    const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
    if (event.key === "Escape" && this.open && !this.hasAttribute("inline")) this.toggle();
    else if (hasModifier || event.target.closest("[role=tablist]")) return;
    else if (event.key === "j" || event.key === "ArrowDown")
      this.#move(focused ? focused.nextElementSibling : this.feed.firstElementChild);
    else if (event.key === "k" || event.key === "ArrowUp") this.#move(focused?.previousElementSibling);
    else if (focused?.item?.category && event.key === "e") {
      const next = focused.nextElementSibling ?? focused.previousElementSibling;
      this.attempt(toggleArchived(this.client, focused.item));
      this.#move(next);
    } else if (focused?.item?.category && event.key === "u")
      this.attempt(toggleRead(this.client, focused.item));
    else if (event.key === "Enter" && this.root.activeElement === focused) this.#open(focused.item);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(element) {
    if (!element) return;
    this.#setTabStop(element);
    element.focus();
  }

  #tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = [...this.tabs.children];
    const offset = getComputedStyle(this).direction === "rtl" ? -step : step;
    const next = tabs[(tabs.findIndex((tab) => tab.id === this.#filter) + offset + tabs.length) % tabs.length];
    this.#select(next.id);
    next.focus();
  }
}
