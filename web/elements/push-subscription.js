/** Subscribes this browser to push. */
// Browsers allow the question only after a click. It is offered after the first important notification.

import { h, set, textButton } from "./base-element.js";

/** After "not now" the offer is hidden for this long, ms. */
const OFFER_PAUSE_MS = 30 * 86_400_000;
const DECLINED_KEY = "gigwire-push-later";
const IMPORTANT = ["hire", "message", "payment", "bid"];

const hasPush = () => "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
const isIos = () => /iP(hone|ad)/.test(navigator.userAgent) && !matchMedia("(display-mode: standalone)").matches;

/** Return "none", "ios", "denied", "off" or "on". @returns {Promise<string>} */
export async function pushState() {
  if (!hasPush()) return isIos() ? "ios" : "none";
  if (Notification.permission === "denied") return "denied";
  const registration = await navigator.serviceWorker.getRegistration();
  return (await registration?.pushManager.getSubscription()) ? "on" : registration ? "off" : "none";
}

/** Ask for permission, subscribe and register the subscription. Call it on a click. @param {any} client @returns {Promise<string>} */
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

/** Register the subscription again on each load, because the hub may have lost it. @param {any} client */
export async function renewPush(client) {
  if ((await pushState()) !== "on") return;
  const registration = await navigator.serviceWorker.ready;
  const subscription = await registration.pushManager.getSubscription();
  await client.request("POST", "/api/push/subscriptions", subscription.toJSON()).catch(() => {});
}

/** Offer push in a row of the center. @param {any} center @param {any} state */
export async function offerPush(center, { inbox }) {
  const { pushBar: bar, client, texts } = center;
  if (center.offered || !hasPush()) return;
  if (!inbox.items.some((item) => IMPORTANT.includes(item.category)) || Date.now() - Number(localStorage.getItem(DECLINED_KEY) ?? 0) < OFFER_PAUSE_MS)
    return;
  center.offered = true;
  if ((await pushState()) !== "off" || !(await client.request("GET", "/api/push/key").catch(() => null))) return;
  const close = () => set(bar, { hidden: true });
  bar.replaceChildren(
    h("span", { textContent: texts.alerts }),
    textButton(texts.turnOn, () => center.attempt(turnOnPush(client)).then(close), "primary"),
    textButton(
      texts.notNow,
      () => {
        localStorage.setItem(DECLINED_KEY, String(Date.now()));
        close();
      },
      "quiet",
    ),
  );
  set(bar, { hidden: false });
}
