/** Service worker: offline shell, push, notification clicks. */

/* global OFFLINE_FILES: the build replaces it by the addresses of the files that the app loads. */

// The hub replaces it by a hash of all files.
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

/** Return the stored file, or fetch it. Files do not depend on the request, so that `Vary` is ignored. */
const stored = async (request) => (await caches.match(request, { ignoreVary: true })) ?? fetch(request);

/** Return the current page, or the stored one without a network. Every address of the app returns the same page. */
async function page(request) {
  try {
    return await fetch(request);
  } catch {
    return (await caches.match(SHELL)) ?? Response.error();
  }
}

/** Show the payload of Declarative Web Push; browsers that support it do not call this. */
self.addEventListener("push", (event) => {
  let payload = {};
  try {
    payload = event.data?.json() ?? {};
  } catch {
    payload = { notification: { title: event.data?.text() } };
  }
  event.waitUntil(show(payload));
});

/** Notifications are shown one after the other. Browsers fetch the icon first, so that an older one could replace a newer one. */
let last;

async function show({ notification = {}, app_badge }) {
  const { title = "Gigwire", navigate = "/", body, tag, silent, data = {}, actions = [], app_badge: ownBadge } = notification;
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
  const badge = Number(app_badge ?? ownBadge);
  if (badge >= 0) await navigator.setAppBadge?.(badge).catch(() => {});
  if (data.priority !== "low") return;
  // A notification of low priority is closed after 8 s.
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  for (const each of await self.registration.getNotifications({ tag })) each.close();
}

self.addEventListener("notificationclick", (event) => {
  const { navigate, id, actions = [] } = event.notification.data ?? {};
  event.notification.close();
  const pressed = actions.find(({ action }) => action === event.action);
  event.waitUntil(Promise.all([open(pressed?.navigate ?? navigate ?? "/"), markRead(id)]));
});

/** Focus the tab with the address, or navigate another tab of the app, or open a new one. */
async function open(address) {
  const url = new URL(address, location.origin);
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const tab = tabs.find((each) => each.url === url.href) ?? tabs[0];
  if (!tab || url.origin !== location.origin) return self.clients.openWindow(url.href);
  try {
    await tab.focus();
    return tab.url === url.href ? tab : await tab.navigate(url.href);
  } catch {
    // A closed tab may still be listed.
    return self.clients.openWindow(url.href);
  }
}

async function markRead(id) {
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
