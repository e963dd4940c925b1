/** Why one was told of something, and why not by another way: what the hub noted of each, in words. */

import { clock } from "./texts.js";

/**
 * A line for each way, "E-mail: not sent, you were looking".
 * @param {any} delivery the hub's answer @param {any} words @param {string} language @returns {string}
 */
export function reasons(delivery, words, language) {
  const { waitsUntil, fates, because } = words;
  const line = (way) => {
    const { state, reason, attempts = [] } = delivery[way];
    const [next] = attempts.flatMap(({ nextAt }) => nextAt ?? []).sort();
    const fate = state === "waiting" && next ? waitsUntil(clock(next, language)) : fates[state];
    return `${words[way]}: ${[fate, because[reason]].filter(Boolean).join(", ")}`;
  };
  return ["inApp", "push", "email"].map(line).join("\n");
}
