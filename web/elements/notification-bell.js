/** `<notification-bell>`: counts unread notifications and opens the center. */

import { HubElement, ICONS, svgIcon, h, set, styleSheet } from "./base-element.js";

export class NotificationBell extends HubElement {
  static styles = styleSheet(`
  :host { display: inline-block; }
  button { position: relative; padding: 0; width: 2.5rem; height: 2.5rem; border-color: transparent; display: grid; place-items: center; border-radius: 50%; }
  button:hover, [aria-expanded=true] { background: var(--_tint); }
  svg { width: 1.375rem; }
  span { position: absolute; top: -.125rem; inset-inline-end: -.25rem; min-width: 1.25rem; padding: 0 .3125rem; border-radius: 1rem; font-size: .6875rem; line-height: 1.25rem;
    font-weight: 700; text-align: center; background: var(--_tint); color: var(--_accent); box-shadow: 0 0 0 2px var(--_card); }
  span.new { background: var(--_spark); color: var(--_on-spark); }
  :host([stale]) span { filter: grayscale(1); }`);

  build() {
    this.badge = h("span", { part: "badge", "data-testid": "badge", "aria-hidden": "true" });
    this.button = h(
      "button",
      { type: "button", part: "bell", "data-testid": "bell", onclick: () => this.center?.toggle(this) },
      svgIcon(ICONS.bell),
      this.badge,
    );
    this.root.append(this.button);
  }

  /** The center that it opens: the one named by `for`, or the first of the page. @returns {any} */
  get center() {
    const id = this.getAttribute("for");
    return id ? document.getElementById(id) : document.querySelector("notification-center");
  }

  focus() {
    this.button.focus();
  }

  render({ inbox: { unread, unseen }, status }) {
    set(this.badge, { textContent: unread > 99 ? "99+" : String(unread), hidden: !unread, className: unseen ? "new" : "" });
    set(this.button, { ariaLabel: this.texts.bell(unread, unseen), ariaExpanded: String(Boolean(this.center?.open)) });
    // The count may be outdated without a stream.
    set(this, { stale: status !== "live" });
    if ("setAppBadge" in navigator) (unread ? navigator.setAppBadge(unread) : navigator.clearAppBadge()).catch(() => {});
  }
}
