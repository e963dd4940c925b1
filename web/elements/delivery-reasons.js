/** Describes how a notification was delivered by each method, and why not. */

import { timeOfDay } from "./texts.js";

/**
 * Return a line for each method: "E-mail: not sent, you were looking".
 * @param {any} delivery the response of the hub @param {any} texts @param {string} language @returns {string}
 */
export function deliveryReasons(delivery, texts, language) {
  const { waitsUntil, outcomes, outcomeReasons } = texts;
  const line = (method) => {
    const { state, reason, attempts = [] } = delivery[method];
    const [next] = attempts.flatMap(({ nextAt }) => nextAt ?? []).sort();
    const outcome = state === "waiting" && next ? waitsUntil(timeOfDay(next, language)) : outcomes[state];
    return `${texts[method]}: ${[outcome, outcomeReasons[reason]].filter(Boolean).join(", ")}`;
  };
  return ["inApp", "push", "email"].map(line).join("\n");
}
