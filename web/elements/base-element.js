/** What every element of the hub shares: its client, its language, its style, and a way to draw without markup. */

import { connect } from "../client/client.js";
import { languageOf, wordsIn } from "./texts.js";

/** @param {string} css @returns {CSSStyleSheet} */
export function sheet(css) {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}

const BASE = sheet(`
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
.what { color: var(--_soft); font-size: .875rem; white-space: pre-line; overflow-wrap: anywhere; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.emoji { font: 1.25rem/1.5rem sans-serif; }
.actions { display: flex; gap: .5rem; flex-wrap: wrap; margin-top: .5rem; }
.actions:empty { display: none; }
@keyframes pulse { to { opacity: .35; } }
@keyframes come { from { opacity: 0; transform: translateY(-.375rem); } }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
small, .soft { color: var(--_soft); font-size: .8125rem; font-weight: 400; }
.error { color: var(--_bad); font-size: .875rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
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
 * An element with properties (`onclick`, `textContent`, …), attributes (`aria-…`, `part`, …) and children.
 * @param {string} name @param {Record<string, any>} [properties] @param {...(Node | string | null | undefined | false)} children @returns {any}
 */
export function h(name, properties = {}, ...children) {
  const made = document.createElement(name);
  set(made, properties);
  made.append(...children.filter((child) => child || child === 0));
  return made;
}

/** @param {any} element @param {Record<string, any>} properties */
export function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    // Properties whose default says something else than the attribute that is written.
    if (name === "tabIndex" || name === "alt") element.setAttribute(name, value);
    else if (name in element && !name.includes("-") && name !== "list") {
      if (element[name] !== value) element[name] = value;
    } else if (value === null || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : String(value));
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} path @returns {SVGElement} */
export function drawing(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const PATHS = {
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

/** @param {string} path of PATHS @param {string} label @param {() => void} onclick @param {object} [more] */
export const iconButton = (path, label, onclick, more = {}) =>
  h("button", { type: "button", className: "icon", ariaLabel: label, title: label, onclick, ...more }, drawing(PATHS[path]));

/** @param {string} label @param {(event: Event) => void} onclick @param {string} [className] */
export const textButton = (label, onclick, className = "") =>
  h("button", { type: "button", textContent: label, onclick, className });

/**
 * Make the children of `box` show `items` in order. An element stays the same as long as its item does, so that what
 * somebody is typing into it, or has the focus on, is left alone.
 * @param {Element} box @param {any[]} items @param {(item: any) => HTMLElement} make @param {(element: any, item: any) => void} update
 * @param {string} [key]
 */
export function showAll(box, items, make, update, key = "id") {
  const wanted = new Set(items.map((item) => item[key]));
  const kept = new Map();
  for (const child of [...box.children]) {
    if (wanted.has(child.key)) kept.set(child.key, child);
    else child.remove();
  }
  let next = box.firstElementChild;
  for (const item of items) {
    const element = kept.get(item[key]) ?? make(item);
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
 * Fill an element anew unless it shows the same, so that whoever has the focus on something in it keeps it.
 * Where it is filled, the element itself has the focus then. @param {any} element @param {any} shown @param {() => void} fill
 */
export function renew(element, shown, fill) {
  const said = JSON.stringify(shown);
  if (element.said === said) return;
  element.said = said;
  const held = element.contains(element.getRootNode().activeElement);
  fill();
  if (held) element.focus({ preventScroll: true });
}

/** The base of the elements: `build` once, `draw(state)` after each change. */
export class HubElement extends HTMLElement {
  static sheet = null;
  #client;
  #end;
  built = false;

  constructor() {
    super();
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [BASE, /** @type {any} */ (this.constructor).sheet].filter(Boolean);
  }

  /** The client it shows; without one set, that of the hub named by the attribute `hub`, or of the one it came from. */
  get client() {
    return (this.#client ??= connect({ url: this.getAttribute("hub") ?? undefined }));
  }

  set client(client) {
    this.#client = client;
    if (this.built && this.isConnected) this.#listen();
  }

  connectedCallback() {
    this.language = languageOf(this);
    const words = wordsIn(this.language);
    if (words.then) words.then((known) => this.isConnected && this.#begin(known));
    else this.#begin(words);
  }

  #begin(words) {
    this.words = words;
    if (!this.built) this.build();
    this.built = true;
    this.#listen();
  }

  disconnectedCallback() {
    this.#end?.();
    this.#end = null;
  }

  #listen() {
    this.#end?.();
    const ends = [this.client.subscribe(() => this.draw(this.client.getSnapshot())), ...this.hearing()];
    this.#end = () => ends.forEach((end) => end());
    this.draw(this.client.getSnapshot());
  }

  build() {}
  hearing() {
    return [];
  }
  draw() {}

  /** Go to a notification's address: the page may do it itself (`hub-navigate`, cancelable). @param {string | null} url */
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

  /** Run an act; what goes wrong is told where the element tells it. @param {Promise<any>} act */
  attempt(act) {
    return act.catch((error) => this.failed(error));
  }

  /** @param {any} _error */
  failed() {}
}

/** "Maya Lindqvist" → "ML". @param {string} name */
export const initials = (name) =>
  name
    .split(/[\s,]+/)
    .map((word) => [...word][0])
    .join("")
    .slice(0, 2)
    .toUpperCase();

/** Hear something until it is ended. @param {EventTarget} target @param {string} name @param {(event: any) => void} act @returns {() => void} */
export function listen(target, name, act) {
  target.addEventListener(name, act);
  return () => target.removeEventListener(name, act);
}

/** The picture of a notification. @param {any} item */
export const iconOf = ({ icon, type }) =>
  icon ||
  { hired: "🎉", bid_received: "📝", bid_rejected: "📄", job_created: "💼", announcement: "📣", message: "✉️", comment: "💬" }[
    type
  ] ||
  "🔔";

/** A notification's buttons; those that were pressed say so. @param {HubElement} element @param {any} item */
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
