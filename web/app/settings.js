/** Settings: profile, e-mail, notifications, password, sessions, and installing the app. */

import { h, set, renderList, textButton } from "../elements/base-element.js";
import { ago } from "../elements/texts.js";
import { actionButton, field, form, splitList } from "./dom.js";

let installing = null;
addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  installing = event;
  document.dispatchEvent(new Event("can-install"));
});

/** @param {any} app */
export function settingsPage(app) {
  const { user } = app;
  const profileNote = h("p", { className: "soft", role: "status" });
  const profile = form(
    { className: "card" },
    async (values) => {
      const changed = await app.request("PATCH", "/api/auth/me", {
        name: values.name,
        ...(user.role === "freelancer" ? { skills: splitList(values.skills) } : {}),
      });
      await app.client.signedIn(changed);
      set(profileNote, { textContent: "Saved." });
    },
    "Save",
    h("h2", { textContent: "Profile" }),
    field("Name", h("input", { name: "name", maxLength: 80, required: true, defaultValue: user.name, autocomplete: "name" })),
    user.role === "freelancer"
      ? field(
          "Skills, separated by commas",
          h("input", { name: "skills", maxLength: 1200, defaultValue: user.skills.join(", ") }),
          "You are told of new jobs that ask for one of them.",
        )
      : "",
    profileNote,
  );
  const passwordNote = h("p", { className: "soft", role: "status" });
  const password = form(
    { className: "card" },
    async ({ currentPassword, newPassword }, element) => {
      await app.request("POST", "/api/auth/password", { currentPassword, newPassword });
      element.reset();
      set(passwordNote, { textContent: "Changed. Every other device was signed out." });
    },
    "Change password",
    h("h2", { textContent: "Password" }),
    h("input", { type: "text", name: "username", autocomplete: "username", hidden: true, defaultValue: user.email ?? "" }),
    field(
      "Current password",
      h("input", { name: "currentPassword", type: "password", required: true, autocomplete: "current-password" }),
    ),
    field(
      "New password",
      h("input", {
        name: "newPassword",
        type: "password",
        required: true,
        minLength: 8,
        maxLength: 128,
        autocomplete: "new-password",
      }),
    ),
    passwordNote,
  );
  const preferences = h("section", { className: "card" }, h("h2", { textContent: "Notifications" }), h("notification-preferences"));
  return {
    title: "Settings",
    element: h(
      "div",
      { className: "page narrow" },
      h("h1", { textContent: "Settings" }),
      install(),
      preferences,
      emails(app),
      profile,
      password,
      sessions(app),
      h(
        "div",
        { className: "leave" },
        actionButton("Log out", () => app.client.logout()),
      ),
    ),
  };
}

/** The state of the e-mail address; the hub sends only to confirmed addresses. */
function emails(app) {
  const live = app.client.live("/api/notifications/preferences", ["preferences"]);
  const state = h("p");
  const note = h("p", { className: "soft", role: "status" });
  const ask = actionButton("Send me a link", async () => {
    await app.request("POST", "/api/auth/email/confirmation");
    set(note, { textContent: `Sent to ${app.user.email}. Open the link in it within a day.` });
  });
  const box = h("section", { className: "card", hidden: !app.user.email }, h("h2", { textContent: "E-mail" }), state, note, ask);
  app.watch(live, ({ data }) => {
    if (!data) return;
    const { emailConfirmed: confirmed } = data;
    set(state, {
      textContent: confirmed
        ? `${app.user.email} is confirmed.`
        : `${app.user.email} is not confirmed yet. Until it is, nothing is sent there.`,
    });
    set(ask, { hidden: confirmed });
    if (confirmed) set(note, { textContent: "" });
  });
  return box;
}

function sessions(app) {
  const live = app.client.live("/api/auth/sessions", ["sessions"]);
  const list = h("ul", { className: "rows" });
  app.watch(live, ({ data }) =>
    renderList(
      list,
      data?.items ?? [],
      (session) =>
        h(
          "li",
          {},
          h("span", {}, h("b", { textContent: device(session.userAgent) }), h("small")),
          session.current
            ? h("small", { textContent: "this one" })
            : actionButton(
                "Sign out",
                async () => {
                  await app.request("DELETE", `/api/auth/sessions/${session.id}`);
                  await live.refetch();
                },
                "quiet small",
              ),
        ),
      (row, { address, usedAt }) =>
        set(row.querySelector("small"), { textContent: `${address ?? ""} · used ${ago(usedAt, "en")}` }),
    ),
  );
  return h("section", { className: "card" }, h("h2", { textContent: "Where you are signed in" }), list);
}

/** @param {string | null} agent */
function device(agent) {
  const browser = /(Firefox|Edg|Chrome|Safari)\//.exec(agent ?? "")?.[1]?.replace("Edg", "Edge") ?? "A program";
  const system = /(Windows|Mac OS|Android|iPhone|iPad|Linux)/.exec(agent ?? "")?.[1];
  return system ? `${browser} on ${system}` : browser;
}

/** The offer to install the app, in browsers that can. */
function install() {
  const box = h(
    "section",
    { className: "card install", hidden: true },
    h(
      "div",
      {},
      h("h2", { textContent: "Install Gigwire" }),
      h("p", { className: "soft", textContent: "Opens like an app, shows a count on its icon, and starts without a network." }),
    ),
    textButton(
      "Install",
      async () => {
        await installing?.prompt();
        installing = null;
        set(box, { hidden: true });
      },
      "primary",
    ),
  );
  const render = () => set(box, { hidden: !installing });
  document.addEventListener("can-install", render);
  render();
  return box;
}
