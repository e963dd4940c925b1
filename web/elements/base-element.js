/** Base class of the elements: client, texts, styles, rendering helpers. */

import { connect } from "../client/client.js";
import { languageOf, loadTexts } from "./texts.js";

/** @param {string} css @returns {CSSStyleSheet} */
export function styleSheet(css) {
  const created = new CSSStyleSheet();
  created.replaceSync(css);
  return created;
}

const BASE = styleSheet(`
:host {
  --_accent: var(--hub-accent, light-dark(#0f766e, #5eead4));
  --_on-accent: var(--hub-on-accent, light-dark(#fff, #06302b));
  --_ink: var(--hub-ink, light-dark(#1c2422, #e8eceb));
  --_soft: var(--hub-soft, light-dark(#5a6662, #9aa8a3));
  --_line: var(--hub-line, light-dark(#e0ded8, #2c3532));
  --_card: var(--hub-card, light-dark(#fff, #1a201e));
  --_tint: var(--hub-tint, light-dark(#e9f3f0, #17322d));
  --_bad: var(--hub-bad, light-dark(#b3261e, #ffb4ab));
  --_spark: var(--hub-spark, light-dark(#b45309, #fcd34d));
  --_on-spark: var(--hub-on-spark, light-dark(#fff, #2b1d00));
  --_radius: var(--hub-radius, .75rem);
  --_shadow: var(--hub-shadow, 0 1px 2px rgb(0 0 0 / .08), 0 12px 32px rgb(0 0 0 / .16));
  color: var(--_ink); font: var(--hub-font, 1rem/1.5 system-ui, sans-serif); text-align: start;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; margin: 0; }
ul, ol { list-style: none; padding: 0; }
button, input, select, textarea { font: inherit; color: inherit; }
button { cursor: pointer; border: 1px solid var(--_line); background: none; border-radius: .5rem; padding: .25rem .75rem; min-height: 2.25rem; font-weight: 550; }
button:hover { border-color: var(--_accent); }
button:disabled { opacity: .5; cursor: default; }
.primary { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
.quiet { border-color: transparent; color: var(--_accent); }
.icon { padding: 0; width: 2.25rem; border-color: transparent; display: inline-grid; place-items: center; color: var(--_soft); }
.icon:hover { color: var(--_ink); background: var(--_tint); }
svg { width: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.excerpt { color: var(--_soft); font-size: .875rem; white-space: pre-line; overflow-wrap: anywhere; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.emoji { font: 1.25rem/1.5rem sans-serif; }
.actions { display: flex; gap: .5rem; flex-wrap: wrap; margin-top: .5rem; }
.actions:empty { display: none; }
@keyframes pulse { to { opacity: .35; } }
@keyframes appear { from { opacity: 0; transform: translateY(-.375rem); } }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
small, .soft { color: var(--_soft); font-size: .8125rem; font-weight: 400; }
.error { color: var(--_bad); font-size: .875rem; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
input, select, textarea { border: 1px solid var(--_line); border-radius: .5rem; background: var(--_card); padding: .375rem .625rem; min-height: 2.25rem; }
input[type=checkbox] { width: 1.125rem; height: 1.125rem; min-height: 0; accent-color: var(--_accent); flex: none; }
.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; }
label { display: grid; gap: .25rem; font-size: .8125rem; color: var(--_soft); }
.line { display: flex; gap: .5rem; align-items: center; font-size: .9375rem; color: var(--_ink); }
fieldset { border: 0; padding: 0; display: grid; gap: .75rem; min-width: 0; }
legend { padding: 0; font-weight: 600; }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; } }
`);

/**
 * Create an element with properties (`onclick`, `textContent`, …), attributes (`aria-…`, `part`, …) and children.
 * @param {string} name @param {Record<string, any>} [properties] @param {...(Node | string | null | undefined | false)} children @returns {any}
 */
export function h(name, properties = {}, ...children) {
  const created = document.createElement(name);
  set(created, properties);
  created.append(...children.filter((child) => child || child === 0));
  return created;
}

/** Set properties and attributes that differ. @param {any} element @param {Record<string, any>} properties */
export function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    // The property of these differs from the attribute when the attribute is absent.
    if (name === "tabIndex" || name === "alt") element.setAttribute(name, value);
    else if (name in element && !name.includes("-") && name !== "list") {
      if (element[name] !== value) element[name] = value;
    } else if (value === null || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : String(value));
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} path @returns {SVGElement} */
export function svgIcon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const ICONS = {
  bell: "M6 10a6 6 0 0 1 12 0c0 5 2 6 2 7H4c0-1 2-2 2-7zM10 20a2.2 2.2 0 0 0 4 0",
  close: "M6 6l12 12M18 6L6 18",
  check: "M4 12.5l5 5L20 7",
  archive: "M4 8h16v11H4zM3 4h18v4H3zM10 12h4",
  why: "M12 8v.01M12 11v5M12 3a9 9 0 1 0 .01 0",
  back: "M15 5l-7 7 7 7",
  plus: "M12 5v14M5 12h14",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M3 19a6 6 0 0 1 12 0M16 5.500a3 3 0 0 1 0 5M17.500 14a6 6 0 0 1 3.500 5",
  clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 5 5l-8.5 8.5a1.7 1.7 0 0 1-2.5-2.5L15 7",
  send: "M4 12l16-8-6 16-3-7z",
};

/** @param {string} name of ICONS @param {string} label @param {() => void} onclick @param {object} [more] */
export const iconButton = (name, label, onclick, more = {}) =>
  h("button", { type: "button", className: "icon", ariaLabel: label, title: label, onclick, ...more }, svgIcon(ICONS[name]));

/** @param {string} label @param {(event: Event) => void} onclick @param {string} [className] */
export const textButton = (label, onclick, className = "") =>
  h("button", { type: "button", textContent: label, onclick, className });

/**
 * Render `items` as the children of `box`, in order. An item keeps its element, so that focus and typed text stay.
 * @param {Element} box @param {any[]} items @param {(item: any) => HTMLElement} create @param {(element: any, item: any) => void} update
 * @param {string} [key]
 */
export function renderList(box, items, create, update, key = "id") {
  const wanted = new Set(items.map((item) => item[key]));
  const existing = new Map();
  for (const child of [...box.children]) {
    if (wanted.has(child.key)) existing.set(child.key, child);
    else child.remove();
  }
  let next = box.firstElementChild;
  for (const item of items) {
    const element = existing.get(item[key]) ?? create(item);
    if (element.item !== item) {
      element.key = item[key];
      element.item = item;
      update(element, item);
    }
    if (element === next) next = next.nextElementSibling;
    else box.insertBefore(element, next);
  }
}

/**
 * Fill an element unless it shows the same values, so that focus in it is not lost. If it had the focus, the element itself
 * is focused after it was filled.
 * @param {any} element @param {any} values @param {() => void} fill
 */
export function renderIfChanged(element, values, fill) {
  const rendered = JSON.stringify(values);
  if (element.rendered === rendered) return;
  element.rendered = rendered;
  const hadFocus = element.contains(element.getRootNode().activeElement);
  fill();
  if (hadFocus) element.focus({ preventScroll: true });
}

/** The base class of the elements. */
export class HubElement extends HTMLElement {
  static styles = null;
  #client;
  #unsubscribe;
  built = false;

  constructor() {
    super();
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [BASE, /** @type {any} */ (this.constructor).styles].filter(Boolean);
  }

  /** The client that was set, or that of the hub in the attribute `hub`, or of the hub that served this file. */
  get client() {
    return (this.#client ??= connect({ url: this.getAttribute("hub") ?? undefined }));
  }

  set client(client) {
    this.#client = client;
    if (this.built && this.isConnected) this.#subscribe();
  }

  connectedCallback() {
    this.language = languageOf(this);
    const texts = loadTexts(this.language);
    if (texts.then) texts.then((loaded) => this.isConnected && this.#start(loaded));
    else this.#start(texts);
  }

  #start(texts) {
    this.texts = texts;
    if (!this.built) this.build();
    this.built = true;
    this.#subscribe();
  }

  disconnectedCallback() {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  #subscribe() {
    this.#unsubscribe?.();
    const unsubscribe = [this.client.subscribe(() => this.render(this.client.getSnapshot())), ...this.subscriptions()];
    this.#unsubscribe = () => unsubscribe.forEach((each) => each());
    this.render(this.client.getSnapshot());
  }

  /** Create the content; called once. */
  build() {}
  /** Subscribe to more than the state. @returns {Array<() => void>} unsubscribe */
  subscriptions() {
    return [];
  }
  /** Show the state; called after each change. */
  render() {}

  /** Open an address, unless the page cancels the event `hub-navigate` to do it itself. @param {string | null} url */
  navigate(url) {
    if (!url) return;
    const target = new URL(url, this.client.url || location.href);
    if (!["https:", location.protocol].includes(target.protocol)) return;
    if (
      !this.dispatchEvent(
        new CustomEvent("hub-navigate", { detail: { url: target.href }, bubbles: true, composed: true, cancelable: true }),
      )
    )
      return;
    if (target.origin === location.origin) location.assign(target.href);
    else open(target.href, "_blank", "noopener");
  }

  /** Show the error if an action fails. @param {Promise<any>} action */
  attempt(action) {
    return action.catch((error) => this.showError(error));
  }

  /** @param {any} _error */
  showError() {}
}

/** "Maya Lindqvist" → "ML". @param {string} name */
export const initials = (name) =>
  name
    .split(/[\s,]+/)
    .map((word) => [...word][0])
    .join("")
    .slice(0, 2)
    .toUpperCase();

/** Add an event listener. @param {EventTarget} target @param {string} name @param {(event: any) => void} listener @returns {() => void} removes it */
export function listen(target, name, listener) {
  target.addEventListener(name, listener);
  return () => target.removeEventListener(name, listener);
}

/** The emoji of a notification. @param {any} item */
export const iconOf = ({ icon, type }) =>
  icon ||
  { hired: "🎉", bid_received: "📝", bid_rejected: "📄", job_created: "💼", announcement: "📣", message: "✉️", comment: "💬" }[
    type
  ] ||
  "🔔";

/** The buttons of a notification; a pressed one has a check mark. @param {HubElement} element @param {any} item */
export function actionButtons(element, item) {
  return item.actions.map((action) =>
    h("button", {
      type: "button",
      className: action.style === "primary" ? "primary" : "",
      part: "action",
      disabled: Boolean(action.done),
      textContent: action.done ? `✓ ${action.label}` : action.label,
      onclick: (event) => {
        event.stopPropagation();
        element.attempt(element.client.act(item.id, action.id));
        element.navigate(action.url);
      },
    }),
  );
}
