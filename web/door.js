/** The page of somebody who is not signed in: demo users where there are some, a form, and its longer form to sign up. */

import { Problem } from "/static/api.js";
import { attempt, copy, onSubmit, part, words, write } from "/static/dom.js";

/**
 * @param {import("/static/api.js").Api} api @param {string} notice why one is here, in a sentence
 * @param {(user: any) => void} enter @returns {HTMLElement}
 */
export function door(api, notice, enter) {
  const page = copy("sign-in");
  const form = part(page, "form");
  write(page, { notice });
  let joining = false;
  part(form, "switch").addEventListener("click", () => switchTo(form, (joining = !joining)));
  onSubmit(form, async (values) => {
    const { user } = await (joining ? join(api, values) : api.post("/api/auth/login", values));
    enter(user);
  });
  showDemo(api, part(page, "demo"), enter);
  return page;
}

/** @param {import("/static/api.js").Api} api @param {Record<string, string>} values */
function join(api, { name, role, skills, email, password }) {
  const known = role === "freelancer" ? { skills: words(skills) } : {};
  return api.post("/api/auth/signup", { name, role, email, password, ...known });
}

/** @param {HTMLFormElement} form @param {boolean} joining */
function switchTo(form, joining) {
  write(form, { heading: joining ? "Create your account" : "Sign in", error: "" });
  part(form, "send").textContent = joining ? "Create account" : "Sign in";
  part(form, "switch").textContent = joining ? "I have an account" : "Create an account";
  part(form, "more").disabled = part(form, "more").hidden = !joining;
  const password = /** @type {HTMLInputElement} */ (form.elements.namedItem("password"));
  password.autocomplete = joining ? "new-password" : "current-password";
  password.minLength = joining ? 8 : -1;
  const first = /** @type {HTMLInputElement} */ (form.elements.namedItem(joining ? "name" : "email"));
  first.focus();
}

/** @param {import("/static/api.js").Api} api @param {HTMLElement} box @param {(user: any) => void} enter */
async function showDemo(api, box, enter) {
  const { items } = await api.get("/api/demo/users").catch((error) => {
    if (error instanceof Problem) return { items: [] };
    throw error;
  });
  box.hidden = items.length === 0;
  part(box, "people").append(...items.map((/** @type {any} */ person) => {
    const element = copy("person");
    const button = part(element, "enter");
    const initials = person.name.split(/\s+/).map((/** @type {string} */ word) => [...word][0]).join("").slice(0, 2);
    write(element, { name: person.name, role: person.role, initials });
    button.addEventListener("click", () => attempt(box, async () => {
      const { user } = await api.post("/api/auth/login", { email: person.email, password: person.password });
      enter(user);
    }, button));
    return element;
  }));
}
