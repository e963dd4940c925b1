/** The few things every view does with the document; data only ever becomes text. */

import { Problem } from "/static/api.js";

/** A fresh copy of the element in `<template id="…">`. @param {string} id @returns {HTMLElement} */
export function copy(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  return /** @type {HTMLElement} */ (document.importNode(template.content, true).firstElementChild);
}

/** The element inside `root` that is called `name`. @param {ParentNode} root @param {string} name @returns {any} */
export function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

/** Write texts into named parts; a part without text is hidden. @param {ParentNode} root @param {object} texts */
export function write(root, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const element = part(root, name);
    if (element.textContent !== (text ?? "")) element.textContent = text ?? "";
    element.hidden = !text;
  }
}

/**
 * Make the children of `box` show `items` in order. An element stays the same as long as its item does, so that what
 * somebody is typing into it, or has the focus on, is left alone.
 * @template {{id: string}} T
 * @param {HTMLElement} box @param {T[]} items @param {(item: T) => HTMLElement} make
 * @param {(element: HTMLElement, item: T) => void} update
 */
export function showAll(box, items, make, update) {
  const wanted = new Set(items.map((item) => item.id));
  const children = /** @type {HTMLElement[]} */ ([...box.children]);
  const kept = new Map(children.map((child) => [child.dataset.id, child]));
  for (const child of children) if (!wanted.has(child.dataset.id ?? "")) child.remove();
  let next = box.firstElementChild;
  for (const item of items) {
    const element = kept.get(item.id) ?? make(item);
    element.dataset.id = item.id;
    update(element, item);
    if (element === next) next = next.nextElementSibling;
    else box.insertBefore(element, next);
  }
}

/**
 * When the form is sent: run `act` with its values, the button off meanwhile; what goes wrong is said in the form.
 * @param {HTMLFormElement} form @param {(values: Record<string, string>) => Promise<void>} act
 */
export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
    attempt(form, () => act(values), part(form, "send"));
  });
}

/**
 * Run `act` once at a time; its error is written into the part `error` of `root`.
 * @param {HTMLElement} root @param {() => Promise<unknown>} act @param {HTMLButtonElement} button
 */
export async function attempt(root, act, button) {
  write(root, { error: "" });
  for (const field of root.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    write(root, { error: sentence(error) });
    if (error instanceof Problem && root instanceof HTMLFormElement) point(root, error.field);
  } finally {
    button.disabled = false;
  }
}

/** @param {HTMLFormElement} form @param {string} name */
function point(form, name) {
  const field = name && form.elements.namedItem(name);
  if (!(field instanceof HTMLElement)) return;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** The words for an error; what is not the hub's answer is our own mistake and belongs on the console. @param {unknown} error */
export function sentence(error) {
  if (error instanceof Problem) return error.message;
  console.error(error);
  return "This page made a mistake. Reload it and try again.";
}

/** Keeps something fresh: loads once at a time, and once more when asked meanwhile. */
export class Fresh {
  #running = false;
  #again = false;
  broken = false;

  /** @param {() => Promise<unknown>} load @param {HTMLElement} root where its part `error` tells what went wrong */
  constructor(load, root) {
    this.load = load;
    this.root = root;
  }

  /** What is being loaded may be old already. */
  touch() {
    this.#again = this.#running;
  }

  async ask() {
    if (this.#running) return this.touch();
    this.#running = true;
    try {
      do {
        this.#again = false;
        await this.load();
      } while (this.#again);
      this.broken = false;
      write(this.root, { error: "" });
    } catch (error) {
      this.broken = true;
      write(this.root, { error: sentence(error) });
    } finally {
      this.#running = false;
    }
  }
}

/** "$1,200" for 120000 cents. @param {number} minor @param {string} currency */
export function money(minor, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency, trailingZeroDisplay: "stripIfInteger" });
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** Cents for what somebody typed as dollars. @param {string} text */
export function cents(text) {
  return Math.round(Number(text) * 100);
}

/** "ui, python " → ["ui", "python"]. @param {string} text */
export function words(text) {
  return text.split(",").map((word) => word.trim()).filter(Boolean);
}

/** @param {ParentNode} root @param {string} time RFC 3339 */
export function writeTime(root, time) {
  const element = /** @type {HTMLTimeElement} */ (root.querySelector("time"));
  element.dateTime = time;
  element.title = new Date(time).toLocaleString();
  element.textContent = ago(time);
}

/** "5 min ago". @param {string} time RFC 3339 */
export function ago(time) {
  const minutes = Math.floor((Date.now() - Date.parse(time)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return new Date(time).toLocaleDateString("en", { month: "short", day: "numeric" });
}
