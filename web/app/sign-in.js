/** The sign-in page: an introduction, demo users if there are any, and the form. */

import { h, renderIfChanged, set, renderList, textButton } from "../elements/base-element.js";
import { actionButton, avatar, field, form, logo, money, when, splitList } from "./dom.js";

/** @param {any} app @param {string} notice why the user was signed out, in a sentence */
export function signInPage(app, notice) {
  const entry = createForm(app);
  const people = h("ul", { className: "people" });
  const demo = h(
    "section",
    { ariaLabel: "Look around as", className: "demo", hidden: true },
    h("h2", { textContent: "Look around as" }),
    h("p", { className: "soft", textContent: "Demo users, one click each. Open two windows and watch them hear of each other." }),
    people,
  );
  showDemo(app, demo, people);
  return h(
    "main",
    { className: "sign-in" },
    h(
      "section",
      { className: "pitch" },
      h("p", { className: "brand" }, logo(36), "Gigwire"),
      h("h1", { textContent: "Work that answers the moment it happens." }),
      h("p", {
        className: "lead",
        textContent: "Post a job, bid, hire, get paid. Everybody concerned hears of it at once, in every tab, and never twice.",
      }),
      statistics(app),
      newestJobs(app),
      h("p", {}, h("a", { href: "/jobs", className: "button", textContent: "See the open jobs" })),
    ),
    h(
      "div",
      { className: "entry" },
      notice ? h("p", { className: "notice", role: "status", textContent: notice }) : "",
      demo,
      entry,
    ),
  );
}

/** The purposes of the form: sign in, create an account, or request a new password by e-mail. */
const MODES = {
  enter: { title: "Sign in", label: "Sign in", beside: ["join", "forget"] },
  join: { title: "Create your account", label: "Create account", beside: ["enter"] },
  forget: { title: "Choose a new password", label: "Send me a link", beside: ["enter"] },
};
const LINKS = { enter: "Back to sign in", join: "Create an account", forget: "Forgot password?" };
const SENT = "If there is an account with this address, a link to choose a new password is on its way. It is good for an hour.";

/** The form. Its purpose changes while its fields stay, so that typed text is kept. @param {any} app */
function createForm(app) {
  let mode = "enter";
  const name = h("input", { name: "name", autocomplete: "name", maxLength: 80, required: true });
  const more = h(
    "fieldset",
    {},
    h("legend", { textContent: "New here" }),
    field("Name", name),
    field(
      "I want to",
      h(
        "select",
        { name: "role" },
        h("option", { value: "freelancer", textContent: "find work" }),
        h("option", { value: "client", textContent: "hire somebody" }),
      ),
    ),
    field("Skills, separated by commas", h("input", { name: "skills", maxLength: 600, placeholder: "design, python" })),
  );
  const email = h("input", { name: "email", type: "email", autocomplete: "username", maxLength: 254, required: true });
  const password = h("input", { name: "password", type: "password", maxLength: 128, required: true });
  const passwordField = field("Password", password);
  const heading = h("h2");
  const note = h("p", { className: "notice", role: "status", hidden: true });
  const links = Object.entries(LINKS).map(([to, label]) => textButton(label, () => switchMode(to), "quiet"));
  const actions = {
    enter: async ({ email, password }) =>
      app.client.signedIn((await app.request("POST", "/api/auth/login", { email, password })).user),
    join: async (values) => app.client.signedIn((await join(app, values)).user),
    forget: async ({ email }) => {
      await app.request("POST", "/api/auth/password/forgot", { email }).catch((error) => {
        // A hub without e-mail responds with 404.
        if (error.status === 404) error.message += " Ask whoever runs it for a new password.";
        throw error;
      });
      set(note, { textContent: SENT, hidden: false });
    },
  };
  const element = form(
    { className: "card", beside: links },
    (values) => actions[mode](values),
    "",
    heading,
    more,
    field("Email", email),
    passwordField,
    note,
  );
  const switchMode = (to, focus = true) => {
    mode = to;
    const joining = mode === "join";
    const { title, label, beside } = MODES[mode];
    set(heading, { textContent: title });
    set(element.querySelector(".primary"), { textContent: label });
    Object.keys(LINKS).forEach((each, index) => set(links[index], { hidden: !beside.includes(each) }));
    set(more, { disabled: !joining, hidden: !joining });
    set(passwordField, { hidden: mode === "forget" });
    set(password, {
      disabled: mode === "forget",
      autocomplete: joining ? "new-password" : "current-password",
      minLength: joining ? 8 : 0,
    });
    for (const part of [note, element.querySelector("[role=alert]")]) set(part, { hidden: true });
    if (focus) (joining ? name : email).focus();
  };
  switchMode(mode, false);
  return element;
}

function statistics(app) {
  const list = h("dl", { className: "numbers", hidden: true });
  app.watch(app.client.live("/api/stats", ["stats"]), ({ data }) => {
    set(list, { hidden: !data });
    if (!data) return;
    list.replaceChildren(
      ...[
        ["open jobs", data.openJobs],
        ["hires", data.hires],
        ["paid out", money(data.paidOut ?? 0, data.currency)],
      ].map(([label, value]) => h("div", {}, h("dd", { textContent: String(value) }), h("dt", { textContent: label }))),
    );
  });
  return list;
}

/** The newest jobs. */
function newestJobs(app) {
  const list = h("ul", { className: "newest" });
  const box = h("section", { ariaLabel: "Just posted", hidden: true }, list);
  app.watch(app.client.live("/api/jobs?status=open&limit=3", ["jobs"]), ({ data }) => {
    set(box, { hidden: !data?.items.length });
    renderList(
      list,
      data?.items ?? [],
      () => h("li"),
      (row, { id, title, budget, currency, createdAt }) =>
        renderIfChanged(row, [title, budget], () =>
          row.replaceChildren(
            h("a", { href: `/jobs/${id}`, textContent: title }),
            h("b", { className: "figure", textContent: money(budget, currency) }),
            h("small", {}, when(createdAt)),
          ),
        ),
    );
  });
  return box;
}

function join(app, { name, role, skills, email, password }) {
  return app.request("POST", "/api/auth/signup", {
    name,
    role,
    email,
    password,
    ...(role === "freelancer" ? { skills: splitList(skills) } : {}),
  });
}

async function showDemo(app, box, list) {
  const { items } = await app.request("GET", "/api/demo/users").catch(() => ({ items: [] }));
  set(box, { hidden: !items.length });
  list.replaceChildren(
    ...items.map((person) => {
      const act = actionButton(
        "",
        async () => {
          const { user } = await app.request("POST", "/api/auth/login", { email: person.email, password: person.password });
          await app.client.signedIn(user);
        },
        "person",
      );
      act
        .querySelector("button")
        .append(
          avatar(person.name),
          h("span", {}, h("b", { textContent: person.name }), " ", h("small", { textContent: person.role })),
        );
      return h("li", {}, act);
    }),
  );
}
