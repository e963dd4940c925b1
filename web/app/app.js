/** The demo app: a marketplace on the elements; who is here, which page they are on, and the frame around it. */

import { connect } from "../client/client.js";
import { drawing, h, set } from "../elements/base-element.js";
import "../elements/elements.js";
import { door } from "./sign-in.js";
import { findJobs } from "./find-work.js";
import { jobPage } from "./job.js";
import { messagesPage } from "./messages.js";
import { personPage } from "./profile.js";
import { postJob } from "./job-form.js";
import { renewPush } from "../elements/push-subscription.js";
import { settingsPage } from "./settings.js";
import { ago } from "../elements/texts.js";
import { actButton, face, link, mark } from "./dom.js";
import { walletPage } from "./wallet.js";
import { Wire } from "./event-inspector.js";
import { workPage } from "./dashboard.js";

const page = document.getElementById("page");

const NAV = [
  { href: "/jobs", label: "Find work", icon: "M4 7h16M4 12h10M4 17h7M18 15a3 3 0 1 0 .01 0M20.5 19.5 22 21", who: "all" },
  { href: "/work", label: "Dashboard", icon: "M4 4h7v7H4zM13 4h7v4h-7zM13 11h7v9h-7zM4 14h7v6H4z", who: "user" },
  { href: "/post", label: "Post a job", icon: "M12 5v14M5 12h14", who: "client" },
  { href: "/messages", label: "Messages", icon: "M4 5h16v11H9l-5 4z", who: "user" },
  {
    href: "/wallet",
    label: "Wallet",
    icon: "M4 7h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM4 7V6a2 2 0 0 1 2-2h10M16 13h.01",
    who: "user",
  },
  { href: "/settings", label: "Settings", icon: "M4 7h10M18 7h2M4 17h4M12 17h8M14 4.500v5M8 14.500v5", who: "user" },
];

/** What a page gets: the client, who is here, and how to go elsewhere. */
const app = {
  client: connect(),
  get user() {
    return this.client.getSnapshot().user ?? null;
  },
  request(method, path, body) {
    return this.client.request(method, path, body);
  },
  go(url, replace = false) {
    const { href, pathname, search, hash } = new URL(url, location.href);
    if (outdated && !replace) {
      location.assign(href);
      return;
    }
    history[replace ? "replaceState" : "pushState"](null, "", pathname + search + hash);
    show();
    // Who does not see the page change hears that it did.
    if (!replace) frame?.querySelector("main").focus({ preventScroll: true });
  },
  /** Draw now and after each change, as long as the page is shown. */
  watch(live, draw) {
    ends.push(live.subscribe(() => draw(live.getSnapshot())));
    draw(live.getSnapshot());
  },
  /** What the page is called, now that it is known. */
  rename(title) {
    app.title = title;
    drawTitle();
  },
  /** Run this when the page is left. */
  end(act) {
    ends.push(act);
  },
};

/** @type {Array<() => void>} */
let ends = [];
let frame = null;
let shownFor = undefined;
let notice = "";
/** The hub has become another release since this page came from it: the next step fetches the page of now. */
let outdated = false;

const wire = new Wire(app.client);
let frameEnd = () => {};

const ROUTES = [
  [/^\/jobs$/, findJobs],
  [/^\/jobs\/([^/]+)$/, jobPage],
  [/^\/people\/([^/]+)$/, personPage],
  [/^\/post$/, postJob, "user"],
  [/^\/work$/, workPage, "user"],
  [/^\/messages(?:\/([^/]+))?$/, messagesPage, "user"],
  [/^\/wallet$/, walletPage, "user"],
  [/^\/settings$/, settingsPage, "user"],
];

/** The page that is shown is left. */
function finish() {
  for (const end of ends) end();
  ends = [];
}

/** Show the page that the address names. */
function show() {
  finish();
  const { user } = app;
  if (user === undefined) return;
  let path = location.pathname;
  if (path === "/") path = user ? (user.role === "client" ? "/work" : "/jobs") : "/sign-in";
  const route = ROUTES.map(([pattern, make, who]) => ({ match: pattern.exec(path), make, who })).find(({ match }) => match);
  if (!route || (route.who && !user)) return showDoor();
  if (!frame) page.replaceChildren((frame = makeFrame()));
  const { title, element } = route.make(app, ...route.match.slice(1));
  const main = frame.querySelector("main");
  main.replaceChildren(element);
  main.className = route.make === messagesPage ? "wide" : "";
  for (const each of frame.querySelectorAll("nav a"))
    set(each, { ariaCurrent: path.startsWith(each.getAttribute("href")) ? "page" : null });
  scrollTo(0, 0);
  app.title = title;
  drawTitle();
}

function leave() {
  finish();
  showDoor();
}

function showDoor() {
  frame = null;
  page.replaceChildren(door(app, notice));
  notice = "";
  app.title = "Sign in";
  drawTitle();
}

function drawTitle() {
  const { unread } = app.client.getSnapshot().inbox;
  document.title = `${app.user && unread ? `(${unread > 99 ? "99+" : unread}) ` : ""}${app.title ? `${app.title} · ` : ""}Gigwire`;
}

function makeFrame() {
  const { user } = app;
  const items = NAV.filter(({ who }) => who === "all" || (user && (who === "user" || who === user.role)));
  const nav = h(
    "nav",
    { ariaLabel: "Main" },
    ...items.map(({ href, label, icon }) => link(href, drawing(icon), { "data-label": label })),
  );
  for (const each of nav.children)
    each.append(
      h("span", { textContent: each.dataset.label }),
      ...(each.dataset.label === "Messages" && user ? [unreadMessages()] : []),
    );
  const who = user
    ? [
        h(
          "div",
          { className: "who" },
          face(user.name),
          h("span", {}, h("b", { textContent: user.name }), h("small", { textContent: user.role })),
        ),
        actButton("Log out", () => app.client.logout(), "quiet small"),
      ]
    : [link("/sign-in", "Sign in", { className: "button primary" })];
  const bell = user ? [h("notification-bell", { id: "bell" })] : [];
  return h(
    "div",
    { className: "frame" },
    h("a", { className: "skip", href: "#main", textContent: "Skip to content" }),
    h(
      "aside",
      { className: "rail", ariaLabel: "Gigwire" },
      brand(),
      nav,
      h("div", { className: "foot" }, wire.button, h("a", { href: "/docs", className: "faint", textContent: "API" })),
    ),
    h(
      "header",
      { className: "bar" },
      brand(),
      h("connection-status", {}),
      h("span", { className: "space" }),
      ...bell,
      h("div", { className: "me" }, ...who),
    ),
    h("main", { id: "main", tabIndex: -1 }),
    ...(user ? [h("notification-center", { id: "center" })] : []),
    wire.drawer,
  );
}

const brand = () => link("/", mark(28), { className: "brand", ariaLabel: "Gigwire, home" });

/** How many messages are unread, in the navigation. */
function unreadMessages() {
  const badge = h("i", { className: "count", hidden: true });
  const live = app.client.live("/api/conversations?limit=50", ["conversations"]);
  const draw = () => {
    const { data } = live.getSnapshot();
    const unread = data?.unread ?? 0;
    set(badge, { hidden: !unread, textContent: unread > 99 ? "99+" : String(unread), ariaLabel: `${unread} unread` });
  };
  frameEnd();
  frameEnd = live.subscribe(draw);
  draw();
  return badge;
}

// Who is here decides what there is to see.
function follow() {
  const { user } = app.client.getSnapshot();
  drawTitle();
  if (user === undefined) return;
  const now = user?.id ?? null;
  if (now === shownFor) return;
  const left = shownFor && !user;
  shownFor = now;
  frameEnd();
  frame = null;
  if (user && location.pathname === "/sign-in") history.replaceState(null, "", "/");
  // Who was signed out comes back to where they were; who left on purpose begins at the beginning.
  if (left && !notice) history.replaceState(null, "", "/");
  if (left) leave();
  else show();
  if (user) renewPush(app.client).catch(() => {});
}

/** @param {ServiceWorkerContainer | undefined} workers absent where the page is not served securely */
function followRelease(workers) {
  if (!workers) return;
  // That a page which had no worker gets its first is no news.
  let first = !workers.controller;
  workers.addEventListener("controllerchange", () => {
    outdated = !first;
    first = false;
  });
  workers.register("/sw.js").catch(() => {});
  const look = () => workers.ready.then((registration) => registration.update()).catch(() => {});
  // A hub that was away may have come back as another.
  app.client.on("status", ({ data }) => data.status === "live" && !document.hidden && look());
}

app.client.on("signed-out", ({ data }) => {
  if (data.own) return;
  notice = "You were signed out. Sign in again to go on.";
  if (shownFor === null) leave();
});
app.client.subscribe(follow);
addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const anchor = event.composedPath().find((each) => each instanceof HTMLAnchorElement);
  if (!anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || anchor.target)
    return;
  const to = new URL(anchor.href, location.href);
  if (
    to.origin !== location.origin ||
    !(to.pathname === "/" || to.pathname === "/sign-in" || ROUTES.some(([pattern]) => pattern.test(to.pathname)))
  )
    return;
  if (to.hash && to.pathname === location.pathname) return;
  event.preventDefault();
  app.go(to.href);
});
document.addEventListener("hub-navigate", (event) => {
  const to = new URL(event.detail.url);
  if (to.origin !== location.origin) return;
  event.preventDefault();
  app.go(to.href);
});
setInterval(() => {
  for (const each of page.querySelectorAll("time[datetime]")) set(each, { textContent: ago(each.dateTime, "en") });
}, 30_000);
followRelease(navigator.serviceWorker);
follow();
