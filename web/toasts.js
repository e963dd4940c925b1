/** Toasts: short words in a corner that leave by themselves; the inbox keeps what matters. */

import { copy, part, write } from "/static/dom.js";

const STAY = 5_000;
/** What happened longer ago than this was missed, and is summed up. */
const OLD = 60_000;
/** A replay comes in one burst; a pause this long ends it. */
const BURST = 300;
const AT_ONCE = 4;

/** @typedef {{id: string, label: string, url?: string, style: string, done?: boolean}} Action */
/** @typedef {{icon: string, title: string, body: string, actions?: Action[]}} Toast */

export class Toasts {
  #missed = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #burst;

  /** @param {HTMLElement} box a live region that is there from the start, or screen readers miss the first one */
  constructor(box) {
    this.box = box;
  }

  /**
   * Show what just happened; sum up what happened more than a minute ago.
   * @param {Toast} toast @param {number} age ms @param {(action: Action) => void} [act]
   */
  arrive(toast, age, act) {
    if (age <= OLD) return this.show(toast, act);
    this.#missed += 1;
    clearTimeout(this.#burst);
    this.#burst = setTimeout(() => this.#sumUp(), BURST);
  }

  /** @param {Toast} toast @param {(action: Action) => void} [act] */
  show({ icon, title, body, actions = [] }, act) {
    const element = copy("toast");
    write(element, { icon, title, body });
    part(element, "close").addEventListener("click", () => element.remove());
    const open = actions.filter((action) => !action.done);
    for (const action of open) part(element, "actions").append(actionButton(action, () => {
      element.remove();
      act?.(action);
    }));
    this.box.append(element);
    element.dataset.stays = String(open.length > 0);
    if (!open.length) leaveLater(element);
    const passing = this.box.querySelectorAll('[data-stays="false"]');
    for (const oldest of [...passing].slice(0, -AT_ONCE)) oldest.remove();
  }

  clear() {
    clearTimeout(this.#burst);
    this.#missed = 0;
    this.box.replaceChildren();
  }

  #sumUp() {
    const body = this.#missed === 1 ? "One thing happened." : `${this.#missed} things happened.`;
    this.#missed = 0;
    this.show({ icon: "🕓", title: "While you were away", body });
  }
}

/** @param {Action} action @param {() => void} act */
export function actionButton(action, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = action.label;
  button.className = action.style === "primary" ? "small primary" : "small";
  button.addEventListener("click", act);
  return button;
}

/** Five seconds, counted anew after somebody pointed at it or moved the focus into it. @param {HTMLElement} element */
function leaveLater(element) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const stay = () => clearTimeout(timer);
  const leave = () => {
    stay();
    timer = setTimeout(() => element.remove(), STAY);
  };
  for (const name of ["pointerenter", "focusin"]) element.addEventListener(name, stay);
  for (const name of ["pointerleave", "focusout"]) element.addEventListener(name, leave);
  leave();
}
