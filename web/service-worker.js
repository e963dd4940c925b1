/** The service worker: the app's shell without a network, push, and what a click on a notification opens. */

/* global OFFLINE_FILES: the build replaces it by the addresses of the files that the app needs. */

const RELEASE = "{release}";
const SHELL = "/";

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(RELEASE)
      .then((cache) => cache.addAll([SHELL, ...OFFLINE_FILES]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== RELEASE) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (
    request.method !== "GET" ||
    origin !== location.origin ||
    pathname.startsWith("/api/") ||
    pathname === "/docs" ||
    pathname === "/openapi.json"
  )
    return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (pathname.startsWith("/static/")) event.respondWith(stored(request));
});

/** The stored file, or the one of the hub. Of each file there is one form only, so `Vary: Origin` must not prevent a match. */
const stored = async (request) => (await caches.match(request, { ignoreVary: true })) ?? fetch(request);

/** The page of now, or the kept one where there is no network; every address of the app is the same page. */
async function page(request) {
  try {
    return await fetch(request);
  } catch {
    return (await caches.match(SHELL)) ?? Response.error();
  }
}

/** The declarative payload (web_push 8030): newer browsers show it by themselves, here it is read by hand. */
self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data?.json() ?? {};
  } catch {
    told = { notification: { title: event.data?.text() } };
  }
  event.waitUntil(tell(told));
});

/** The last that is being shown: browsers fetch an icon first, and of two at once the older could come last and stay. */
let last;

async function tell({ notification = {}, app_badge }) {
  const { title = "Gigwire", navigate = "/", body, tag, silent, data = {}, actions = [], app_badge: own } = notification;
  const options = {
    body,
    tag,
    silent,
    actions: actions.slice(0, 2).map(({ action, title: label }) => ({ action, title: label })),
    icon: "/static/icons/192.png",
    badge: "/static/icons/192.png",
    renotify: Boolean(tag),
    requireInteraction: data.priority === "urgent",
    data: { navigate, id: data.id, actions },
  };
  await (last = Promise.allSettled([last]).then(() => self.registration.showNotification(title, options)));
  const badge = Number(app_badge ?? own);
  if (badge >= 0) await navigator.setAppBadge?.(badge).catch(() => {});
  if (data.priority !== "low") return;
  // What is of little weight goes by itself.
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  for (const shown of await self.registration.getNotifications({ tag })) shown.close();
}

self.addEventListener("notificationclick", (event) => {
  const { navigate, id, actions = [] } = event.notification.data ?? {};
  event.notification.close();
  const chosen = actions.find(({ action }) => action === event.action);
  event.waitUntil(Promise.all([go(chosen?.navigate ?? navigate ?? "/"), read(id)]));
});

/** A tab that shows it, else any tab of ours, else a new one. */
async function go(address) {
  const url = new URL(address, location.origin);
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const tab = tabs.find((each) => each.url === url.href) ?? tabs[0];
  if (!tab || url.origin !== location.origin) return self.clients.openWindow(url.href);
  try {
    await tab.focus();
    return tab.url === url.href ? tab : await tab.navigate(url.href);
  } catch {
    // A tab that was just closed may still be listed.
    return self.clients.openWindow(url.href);
  }
}

async function read(id) {
  if (!id) return;
  await fetch("/api/realtime/notifications/read", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ids: [id] }),
  }).catch(() => {});
}

self.addEventListener("pushsubscriptionchange", (event) => {
  const renew = async () => {
    const { options } = event.oldSubscription ?? {};
    const subscription = event.newSubscription ?? (options && (await self.registration.pushManager.subscribe(options)));
    if (subscription)
      await fetch("/api/push/subscriptions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(subscription),
      });
  };
  event.waitUntil(renew().catch(() => {}));
});
