/** The demo app, its frame and its router. */

import { connect } from "../client/client.js";
import { svgIcon, h, set } from "../elements/base-element.js";
import "../elements/elements.js";
import { signInPage } from "./sign-in.js";
import { findJobs } from "./find-work.js";
import { jobPage } from "./job.js";
import { messagesPage } from "./messages.js";
import { profilePage } from "./profile.js";
import { postJob } from "./job-form.js";
import { renewPush } from "../elements/push-subscription.js";
import { settingsPage } from "./settings.js";
import { ago } from "../elements/texts.js";
import { actionButton, avatar, link, logo } from "./dom.js";
import { walletPage } from "./wallet.js";
import { EventInspector } from "./event-inspector.js";
import { dashboardPage } from "./dashboard.js";

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

/** What every page receives: the client, the user and navigation. */
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
    // Screen readers announce the new page.
    if (!replace) frame?.querySelector("main").focus({ preventScroll: true });
  },
  /** Render now and after each change, as long as the page is shown. */
  watch(live, render) {
    cleanups.push(live.subscribe(() => render(live.getSnapshot())));
    render(live.getSnapshot());
  },
  /** Set the title of the page. */
  rename(title) {
    app.title = title;
    renderTitle();
  },
  /** Call a function when the user leaves the page. */
  onLeave(cleanup) {
    cleanups.push(cleanup);
  },
};

/** @type {Array<() => void>} */
let cleanups = [];
let frame = null;
let renderedUserId = undefined;
let notice = "";
/** The hub was upgraded since this page was loaded: the next navigation loads it again. */
let outdated = false;

const inspector = new EventInspector(app.client);
let unsubscribeFrame = () => {};

const ROUTES = [
  [/^\/jobs$/, findJobs],
  [/^\/jobs\/([^/]+)$/, jobPage],
  [/^\/people\/([^/]+)$/, profilePage],
  [/^\/post$/, postJob, "user"],
  [/^\/work$/, dashboardPage, "user"],
  [/^\/messages(?:\/([^/]+))?$/, messagesPage, "user"],
  [/^\/wallet$/, walletPage, "user"],
  [/^\/settings$/, settingsPage, "user"],
];

/** Clean up the page that is shown. */
function closePage() {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
}

/** Show the page of the current address. */
function show() {
  closePage();
  const { user } = app;
  if (user === undefined) return;
  let path = location.pathname;
  if (path === "/") path = user ? (user.role === "client" ? "/work" : "/jobs") : "/sign-in";
  const route = ROUTES.map(([pattern, create, who]) => ({ match: pattern.exec(path), create, who })).find(({ match }) => match);
  if (!route || (route.who && !user)) return showSignIn();
  if (!frame) page.replaceChildren((frame = createFrame()));
  const { title, element } = route.create(app, ...route.match.slice(1));
  const main = frame.querySelector("main");
  main.replaceChildren(element);
  main.className = route.create === messagesPage ? "wide" : "";
  for (const each of frame.querySelectorAll("nav a"))
    set(each, { ariaCurrent: path.startsWith(each.getAttribute("href")) ? "page" : null });
  scrollTo(0, 0);
  app.title = title;
  renderTitle();
}

function leave() {
  closePage();
  showSignIn();
}

function showSignIn() {
  frame = null;
  page.replaceChildren(signInPage(app, notice));
  notice = "";
  app.title = "Sign in";
  renderTitle();
}

function renderTitle() {
  const { unread } = app.client.getSnapshot().inbox;
  document.title = `${app.user && unread ? `(${unread > 99 ? "99+" : unread}) ` : ""}${app.title ? `${app.title} · ` : ""}Gigwire`;
}

function createFrame() {
  const { user } = app;
  const items = NAV.filter(({ who }) => who === "all" || (user && (who === "user" || who === user.role)));
  const nav = h(
    "nav",
    { ariaLabel: "Main" },
    ...items.map(({ href, label, icon }) => link(href, svgIcon(icon), { "data-label": label })),
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
          avatar(user.name),
          h("span", {}, h("b", { textContent: user.name }), h("small", { textContent: user.role })),
        ),
        actionButton("Log out", () => app.client.logout(), "quiet small"),
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
      h("div", { className: "foot" }, inspector.button, h("a", { href: "/docs", className: "faint", textContent: "API" })),
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
    inspector.drawer,
  );
}

const brand = () => link("/", logo(28), { className: "brand", ariaLabel: "Gigwire, home" });

/** The count of unread messages in the navigation. */
function unreadMessages() {
  const badge = h("i", { className: "count", hidden: true });
  const live = app.client.live("/api/conversations?limit=50", ["conversations"]);
  const render = () => {
    const { data } = live.getSnapshot();
    const unread = data?.unread ?? 0;
    set(badge, { hidden: !unread, textContent: unread > 99 ? "99+" : String(unread), ariaLabel: `${unread} unread` });
  };
  unsubscribeFrame();
  unsubscribeFrame = live.subscribe(render);
  render();
  return badge;
}

/** Follow the state of the client: another user sees other pages. */
function onChange() {
  const { user } = app.client.getSnapshot();
  renderTitle();
  if (user === undefined) return;
  const userId = user?.id ?? null;
  if (userId === renderedUserId) return;
  const signedOut = renderedUserId && !user;
  renderedUserId = userId;
  unsubscribeFrame();
  frame = null;
  if (user && location.pathname === "/sign-in") history.replaceState(null, "", "/");
  // After an involuntary sign-out the user returns to the same page; after a log-out to the start page.
  if (signedOut && !notice) history.replaceState(null, "", "/");
  if (signedOut) leave();
  else show();
  if (user) renewPush(app.client).catch(() => {});
}

/** @param {ServiceWorkerContainer | undefined} workers absent where the page is not served securely */
function followRelease(workers) {
  if (!workers) return;
  // The first worker of a page is no upgrade.
  let first = !workers.controller;
  workers.addEventListener("controllerchange", () => {
    outdated = !first;
    first = false;
  });
  workers.register("/sw.js").catch(() => {});
  const checkForUpgrade = () => workers.ready.then((registration) => registration.update()).catch(() => {});
  // The hub may have been upgraded while the stream was closed.
  app.client.on("status", ({ data }) => data.status === "live" && !document.hidden && checkForUpgrade());
}

app.client.on("signed-out", ({ data }) => {
  if (data.own) return;
  notice = "You were signed out. Sign in again to go on.";
  if (renderedUserId === null) leave();
});
app.client.subscribe(onChange);
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
onChange();
