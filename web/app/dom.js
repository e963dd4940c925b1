/** DOM helpers of the app. Data is only ever inserted as text. */

import { h, initials, set, textButton } from "../elements/base-element.js";
import { ago } from "../elements/texts.js";

/** "$1,200" for 120000: amounts are in hundredths in every currency, even where browsers show no decimals (ALL, RSD). @param {number} minor @param {string} [currency] */
export const money = (minor, currency = "USD") =>
  new Intl.NumberFormat("en", {
    style: "currency",
    currency,
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
    trailingZeroDisplay: "stripIfInteger",
  }).format(minor / 100);

/** The hundredths of an amount that the user typed. @param {string} text */
export const cents = (text) => Math.round(Number(text) * 100);

/** "ui, python " → ["ui", "python"]. @param {string} text */
export const splitList = (text) =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);

/** "1 bid", "3 bids". @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** The message of an error. An error that is no Problem is a bug of the page and is logged to the console. @param {any} error */
export function sentence(error) {
  if (error?.status !== undefined) return error.message;
  console.error(error);
  return "This page made a mistake. Reload it and try again.";
}

/** The avatar of a user: their initials. @param {string} name @param {string} [size] */
export const avatar = (name, size = "") =>
  h("span", { className: `avatar ${size}`, textContent: initials(name), "aria-hidden": "true" });

/** "5 min ago"; app.js keeps it current. @param {string} time RFC 3339 */
export const when = (time) =>
  h("time", { dateTime: time, textContent: ago(time, "en"), title: new Date(time).toLocaleString("en") });

/** The logo. The build puts it into the same folder as this code. @param {number} size px */
export const logo = (size) => h("img", { src: new URL("./mark.svg", import.meta.url).href, alt: "", width: size, height: size });

/** A link within the app. @param {string} href @param {any} [text] @param {object} [more] */
export const link = (href, text, more = {}) => h("a", { href, ...more }, text);

/** A link to the conversation with a user. @param {{id: string, name: string}} user @param {string} [text] @param {string} [className] */
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

/** The status of a job or a bid. @param {string} status */
export const chip = (status) => h("span", { className: "chip", "data-status": status, textContent: STATUS[status] ?? status });

/** @param {string[]} skills */
export const skillList = (skills) =>
  h("ul", { className: "skills", ariaLabel: "Skills" }, ...skills.map((skill) => h("li", { textContent: skill })));

/** @param {string} label @param {any} control @param {string} [hint] */
export const field = (label, control, hint) =>
  h("label", { className: "field" }, h("span", { textContent: label }), control, hint ? h("small", { textContent: hint }) : "");

/**
 * A form that is disabled while it is sent, and that shows an error and focuses the invalid field.
 * @param {object} properties @param {(values: Record<string, string>, form: any) => Promise<any>} submit @param {string} label of the button
 * @param {...any} children
 */
export function form(properties, submit, label, ...children) {
  const error = h("p", { className: "error", role: "alert", hidden: true });
  const send = h("button", { className: "primary", textContent: label });
  const element = h(
    "form",
    {
      ...properties,
      onsubmit: (event) => {
        event.preventDefault();
        const values = Object.fromEntries(new FormData(element));
        run(send, error, () => submit(values, element), element);
      },
    },
    ...children,
    error,
    h("div", { className: "row" }, send, ...(properties.beside ?? [])),
  );
  return element;
}

/**
 * Run an action with its control disabled, and show its error.
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
    // The control may have been removed meanwhile: then the error is shown as a toast.
    if (!error.isConnected) toastError(error);
    const bad = problem.field && within?.elements.namedItem(problem.field);
    bad?.setAttribute?.("aria-invalid", "true");
    bad?.focus?.();
    return undefined;
  } finally {
    control.disabled = false;
  }
}

const toastError = ({ textContent }) =>
  document.querySelector("toast-region").show({ title: "That did not work", body: textContent, icon: "⚠️", assertive: true });

/** Replace the content of a box; errors that it shows become toasts. @param {Element} box @param {...any} children */
export function refill(box, ...children) {
  for (const error of box.querySelectorAll(".error:not([hidden])")) toastError(error);
  box.replaceChildren(...children);
}

/** A button with room for its error. @param {string} label @param {() => Promise<any>} act @param {string} [className] @param {object} [more] */
export function actionButton(label, act, className = "", more = {}) {
  const error = h("p", { className: "error", role: "alert", hidden: true });
  const button = h("button", { type: "button", className, textContent: label, onclick: () => run(button, error, act), ...more });
  return h("div", { className: "act" }, button, error);
}

/** A button that fetches the next page of a list, hidden after the last. @param {any} app @param {import("../client/live-query.js").LiveQuery} live @param {string} label */
export function moreButton(app, live, label) {
  const box = actionButton(label, live.more);
  app.watch(live, ({ data }) => set(box, { hidden: !data?.next }));
  return box;
}

/** The text of an empty list. @param {string} title @param {string} [hint] @param {any} [more] */
export const nothing = (title, hint = "", more = "") =>
  h("div", { className: "nothing" }, h("b", { textContent: title }), h("p", { textContent: hint }), more);

/** Gray bars while something is being loaded. @param {number} [rows] */
export const skeleton = (rows = 3) =>
  h("div", { className: "skeleton", role: "status", ariaLabel: "Loading" }, ...Array.from({ length: rows }, () => h("div")));

/** Ask before an action that cannot be undone. @param {string} question @param {string} yes label of the button @returns {Promise<boolean>} */
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
