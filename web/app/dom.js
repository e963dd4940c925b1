/** The few things every page of the app does with the document; data only ever becomes text. */

import { h, initials, set, textButton } from "../elements/base-element.js";
import { ago } from "../elements/texts.js";

/** "$1,200" for 120000 cents: a hub's currency has cents, also where a browser shows none (ALL, RSD). @param {number} minor @param {string} [currency] */
export const money = (minor, currency = "USD") =>
  new Intl.NumberFormat("en", {
    style: "currency",
    currency,
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
    trailingZeroDisplay: "stripIfInteger",
  }).format(minor / 100);

/** Cents for what somebody typed as dollars. @param {string} text */
export const cents = (text) => Math.round(Number(text) * 100);

/** "ui, python " → ["ui", "python"]. @param {string} text */
export const words = (text) =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);

/** "1 bid", "3 bids". @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** The words for an error; what is not the hub's answer is our own mistake and belongs on the console. @param {any} error */
export function sentence(error) {
  if (error?.status !== undefined) return error.message;
  console.error(error);
  return "This page made a mistake. Reload it and try again.";
}

/** A picture of somebody: their initials. @param {string} name @param {string} [size] */
export const face = (name, size = "") =>
  h("span", { className: `face ${size}`, textContent: initials(name), "aria-hidden": "true" });

/** "5 min ago", which goes on being true (see app.js). @param {string} time RFC 3339 */
export const when = (time) =>
  h("time", { dateTime: time, textContent: ago(time, "en"), title: new Date(time).toLocaleString("en") });

/** The mark; it lies beside this file, wherever that is served from. @param {number} size px */
export const mark = (size) => h("img", { src: new URL("./mark.svg", import.meta.url).href, alt: "", width: size, height: size });

/** A link within the app. @param {string} href @param {any} [text] @param {object} [more] */
export const link = (href, text, more = {}) => h("a", { href, ...more }, text);

/** Leads to a conversation with somebody. @param {{id: string, name: string}} person @param {string} [text] @param {string} [className] */
export const messageLink = ({ id, name }, text = `Message ${name}`, className = "button") =>
  link(`/messages?to=${id}&name=${encodeURIComponent(name)}`, text, { className });

const STATUS = {
  open: "Open",
  assigned: "Hired",
  in_progress: "In progress",
  submitted: "Submitted",
  completed: "Completed",
  cancelled: "Cancelled",
  expired: "Expired",
  pending: "Waiting",
  hired: "Hired",
  rejected: "Not chosen",
  withdrawn: "Withdrawn",
};

/** Where a job or a bid stands. @param {string} status */
export const chip = (status) => h("span", { className: "chip", "data-status": status, textContent: STATUS[status] ?? status });

/** @param {string[]} skills */
export const skillList = (skills) =>
  h("ul", { className: "skills", ariaLabel: "Skills" }, ...skills.map((skill) => h("li", { textContent: skill })));

/** @param {string} label @param {any} control @param {string} [hint] */
export const field = (label, control, hint) =>
  h("label", { className: "field" }, h("span", { textContent: label }), control, hint ? h("small", { textContent: hint }) : "");

/**
 * A form whose button is off while it is sent, and which says what went wrong, at the field that is at fault.
 * @param {object} properties @param {(values: Record<string, string>, form: any) => Promise<any>} act @param {string} label of the button
 * @param {...any} children
 */
export function form(properties, act, label, ...children) {
  const error = h("p", { className: "error", role: "alert", hidden: true });
  const send = h("button", { className: "primary", textContent: label });
  const made = h(
    "form",
    {
      ...properties,
      onsubmit: (event) => {
        event.preventDefault();
        const values = Object.fromEntries(new FormData(made));
        run(send, error, () => act(values, made), made);
      },
    },
    ...children,
    error,
    h("div", { className: "row" }, send, ...(properties.beside ?? [])),
  );
  return made;
}

/**
 * Run `act` once at a time; its error is written where it belongs.
 * @param {any} control @param {any} error @param {() => Promise<any>} act @param {any} [within] the form
 */
export async function run(control, error, act, within) {
  set(error, { hidden: true, textContent: "" });
  for (const bad of within?.querySelectorAll("[aria-invalid]") ?? []) bad.removeAttribute("aria-invalid");
  control.disabled = true;
  try {
    return await act();
  } catch (problem) {
    set(error, { hidden: false, textContent: sentence(problem) });
    // What was pressed may be gone by now: what stood beside it is said where it can be seen.
    if (!error.isConnected) complain(error);
    const bad = problem.field && within?.elements.namedItem(problem.field);
    bad?.setAttribute?.("aria-invalid", "true");
    bad?.focus?.();
    return undefined;
  } finally {
    control.disabled = false;
  }
}

const complain = ({ textContent }) =>
  document.querySelector("toast-region").show({ title: "That did not work", body: textContent, icon: "⚠️", assertive: true });

/** Put something else into a box; what went wrong in there a moment ago is still said. @param {Element} box @param {...any} children */
export function refill(box, ...children) {
  for (const error of box.querySelectorAll(".error:not([hidden])")) complain(error);
  box.replaceChildren(...children);
}

/** A button with a place for what goes wrong. @param {string} label @param {() => Promise<any>} act @param {string} [className] @param {object} [more] */
export function actButton(label, act, className = "", more = {}) {
  const error = h("p", { className: "error", role: "alert", hidden: true });
  const made = h("button", { type: "button", className, textContent: label, onclick: () => run(made, error, act), ...more });
  return h("div", { className: "act" }, made, error);
}

/** What brings the next page of a list, while there is one. @param {any} app @param {import("../client/live-query.js").Live} live @param {string} label */
export function moreButton(app, live, label) {
  const box = actButton(label, live.more);
  app.watch(live, ({ data }) => set(box, { hidden: !data?.next }));
  return box;
}

/** What to say where a list is empty. @param {string} title @param {string} [hint] @param {any} [more] */
export const nothing = (title, hint = "", more = "") =>
  h("div", { className: "nothing" }, h("b", { textContent: title }), h("p", { textContent: hint }), more);

/** Grey bars where something is on its way. @param {number} [rows] */
export const skeleton = (rows = 3) =>
  h("div", { className: "skeleton", role: "status", ariaLabel: "Loading" }, ...Array.from({ length: rows }, () => h("div")));

/** Ask before something that cannot be taken back. @param {string} question @param {string} yes what the button says @returns {Promise<boolean>} */
export function ask(question, yes) {
  const dialog = h("dialog", { className: "ask", ariaLabel: question });
  const answer = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
  });
  dialog.append(
    h("p", { textContent: question }),
    h(
      "div",
      { className: "row" },
      textButton(yes, () => dialog.close("yes"), "primary"),
      textButton("Keep it", () => dialog.close("no")),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return answer;
}
