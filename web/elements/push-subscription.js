/** Push to this device: asked for on a click only, offered after the first thing that mattered, renewed on each load. */

import { h, set, textButton } from "./base-element.js";

/** Who said "not now" is not asked again for so long, ms. */
const LATER = 30 * 86_400_000;
const ASKED = "gigwire-push-later";
const MATTERS = ["hire", "message", "payment", "bid"];

const hasPush = () => "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
const isIos = () => /iP(hone|ad)/.test(navigator.userAgent) && !matchMedia("(display-mode: standalone)").matches;

/** "none", "ios", "denied", "off" or "on". @returns {Promise<string>} */
export async function pushState() {
  if (!hasPush()) return isIos() ? "ios" : "none";
  if (Notification.permission === "denied") return "denied";
  const registration = await navigator.serviceWorker.getRegistration();
  return (await registration?.pushManager.getSubscription()) ? "on" : registration ? "off" : "none";
}

/** Ask the reader, then the browser, then tell the hub. Call it on a click. @param {any} client @returns {Promise<string>} */
export async function turnOnPush(client) {
  if ((await Notification.requestPermission()) !== "granted") return "denied";
  const registration = await navigator.serviceWorker.ready;
  const { key } = await client.request("GET", "/api/push/key");
  const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await client.request("POST", "/api/push/subscriptions", subscription.toJSON());
  return "on";
}

/** @param {any} client */
export async function turnOffPush(client) {
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  if (!subscription) return "off";
  await client.request("DELETE", "/api/push/subscriptions", { endpoint: subscription.endpoint });
  await subscription.unsubscribe();
  return "off";
}

/** Subscriptions die silently: what the browser has is told to the hub anew. @param {any} client */
export async function renewPush(client) {
  if ((await pushState()) !== "on") return;
  const registration = await navigator.serviceWorker.ready;
  const subscription = await registration.pushManager.getSubscription();
  await client.request("POST", "/api/push/subscriptions", subscription.toJSON()).catch(() => {});
}

/** The row in the center that offers it. @param {any} center @param {any} state */
export async function offerPush(center, { inbox }) {
  const { pushBar: bar, client, words } = center;
  if (center.offered || !hasPush()) return;
  if (!inbox.items.some((item) => MATTERS.includes(item.category)) || Date.now() - Number(localStorage.getItem(ASKED) ?? 0) < LATER)
    return;
  center.offered = true;
  if ((await pushState()) !== "off" || !(await client.request("GET", "/api/push/key").catch(() => null))) return;
  const close = () => set(bar, { hidden: true });
  bar.replaceChildren(
    h("span", { textContent: words.alerts }),
    textButton(words.turnOn, () => center.attempt(turnOnPush(client)).then(close), "primary"),
    textButton(
      words.notNow,
      () => {
        localStorage.setItem(ASKED, String(Date.now()));
        close();
      },
      "quiet",
    ),
  );
  set(bar, { hidden: false });
}
