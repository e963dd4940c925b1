/** The page of somebody who is not signed in: what this is, demo users where there are some, and a form. */

import { h, set, showAll } from "./element.js";
import { actButton, face, field, form, money, when, words } from "./ui.js";

/** @param {any} app @param {string} notice why one is here, in a sentence */
export function door(app, notice) {
  let joining = false;
  const name = h("input", { name: "name", autocomplete: "name", maxLength: 80, required: true });
  const role = h(
    "select",
    { name: "role" },
    h("option", { value: "freelancer", textContent: "find work" }),
    h("option", { value: "client", textContent: "hire somebody" }),
  );
  const more = h(
    "fieldset",
    { disabled: true, hidden: true },
    h("legend", { textContent: "New here" }),
    field("Name", name),
    field("I want to", role),
    field("Skills, separated by commas", h("input", { name: "skills", maxLength: 600, placeholder: "design, python" })),
  );
  const email = h("input", { name: "email", type: "email", autocomplete: "username", maxLength: 254, required: true });
  const password = h("input", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    maxLength: 128,
    required: true,
  });
  const heading = h("h2", { textContent: "Sign in" });
  const change = h("button", { type: "button", className: "quiet", textContent: "Create an account" });
  const enter = async (values) => {
    const { user } = await (joining
      ? join(app, values)
      : app.request("POST", "/api/auth/login", { email: values.email, password: values.password }));
    await app.client.signedIn(user);
  };
  const made = form(
    { className: "card", beside: [change] },
    enter,
    "Sign in",
    heading,
    more,
    field("Email", email),
    field("Password", password),
  );
  change.onclick = () => {
    joining = !joining;
    set(heading, { textContent: joining ? "Create your account" : "Sign in" });
    set(made.querySelector(".primary"), { textContent: joining ? "Create account" : "Sign in" });
    set(change, { textContent: joining ? "I have an account" : "Create an account" });
    set(more, { disabled: !joining, hidden: !joining });
    set(password, { autocomplete: joining ? "new-password" : "current-password", minLength: joining ? 8 : -1 });
    (joining ? name : email).focus();
  };
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
    { className: "door" },
    h(
      "section",
      { className: "pitch" },
      h(
        "p",
        { className: "brand" },
        h("img", { src: new URL("./mark.svg", import.meta.url).href, alt: "", width: 36, height: 36 }),
        "Gigwire",
      ),
      h("h1", { textContent: "Work that answers the moment it happens." }),
      h("p", {
        className: "lead",
        textContent: "Post a job, bid, hire, get paid. Everybody concerned hears of it at once, in every tab, and never twice.",
      }),
      numbers(app),
      newest(app),
      h("p", {}, h("a", { href: "/jobs", className: "button", textContent: "See the open jobs" })),
    ),
    h(
      "div",
      { className: "entry" },
      notice ? h("p", { className: "notice", role: "status", textContent: notice }) : "",
      demo,
      made,
    ),
  );
}

function numbers(app) {
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

/** What was posted last, as it is posted. */
function newest(app) {
  const list = h("ul", { className: "newest" });
  const box = h("section", { ariaLabel: "Just posted", hidden: true }, list);
  app.watch(app.client.live("/api/jobs?status=open&limit=3", ["jobs"]), ({ data }) => {
    set(box, { hidden: !data?.items.length });
    showAll(
      list,
      data?.items ?? [],
      () => h("li"),
      (row, job) =>
        row.replaceChildren(
          h("a", { href: `/jobs/${job.id}`, textContent: job.title }),
          h("b", { className: "figure", textContent: money(job.budget, job.currency) }),
          h("small", {}, when(job.createdAt)),
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
    ...(role === "freelancer" ? { skills: words(skills) } : {}),
  });
}

async function showDemo(app, box, list) {
  const { items } = await app.request("GET", "/api/demo/users").catch(() => ({ items: [] }));
  set(box, { hidden: !items.length });
  list.replaceChildren(
    ...items.map((person) => {
      const act = actButton(
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
          face(person.name),
          h("span", {}, h("b", { textContent: person.name }), " ", h("small", { textContent: person.role })),
        );
      return h("li", {}, act);
    }),
  );
}
