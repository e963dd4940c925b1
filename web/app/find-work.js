/** Job search with suggestions, and filters that are part of the address. */

import { h, set, renderList } from "../elements/base-element.js";
import { chip, counted, link, money, nothing, run, sentence, skeleton, skillList, when } from "./dom.js";

export const CATEGORIES = ["Design", "Software", "Writing", "Photography", "Video", "Data", "Operations"];
const BUDGETS = [
  ["Any budget", ""],
  ["Under $500", "-50000"],
  ["$500 to $1,000", "50000-100000"],
  ["$1,000 to $2,500", "100000-250000"],
  ["Over $2,500", "250000-"],
];
const STATES = [
  ["Open", "open"],
  ["Hired", "assigned"],
  ["In progress", "in_progress"],
  ["Completed", "completed"],
  ["Any state", ""],
];

/** @param {any} app */
export function findJobs(app) {
  const params = new URLSearchParams(location.search);
  const query = h("input", {
    type: "search",
    name: "q",
    value: params.get("q") ?? "",
    placeholder: "Search jobs and skills",
    ariaLabel: "Search jobs",
    autocomplete: "off",
    role: "combobox",
    ariaExpanded: "false",
    "aria-controls": "suggestions",
    ariaAutoComplete: "list",
  });
  const menu = h("ul", { id: "suggestions", role: "listbox", ariaLabel: "Suggestions", className: "suggestions", hidden: true });
  const category = select("Category", [["All categories", ""], ...CATEGORIES.map((name) => [name, name])], params.get("category"));
  const budget = select("Budget", BUDGETS, params.get("budget"));
  const status = select("State", STATES, params.get("status") ?? "open");
  const skills = h("input", {
    name: "skills",
    value: params.get("skills") ?? "",
    placeholder: "Skills, e.g. python",
    ariaLabel: "Skills, separated by commas",
  });
  const heading = h("h1", { textContent: "Find work" });
  const count = h("p", { className: "soft", role: "status" });
  const list = h("div", { className: "jobs card flush", "data-testid": "jobs" });
  const state = h("div");
  const more = h("button", { type: "button", textContent: "More jobs", hidden: true });
  const problem = h("p", { className: "error", role: "alert", hidden: true });
  let unsubscribe = () => {};
  let timer;

  const load = () => {
    unsubscribe();
    const params = filters();
    history.replaceState(history.state, "", `/jobs${address()}`);
    const live = app.client.live(`/api/jobs?${params}`, ["jobs"]);
    const known = new Set();
    let first = true;
    const render = () => {
      const { data, error, loading } = live.getSnapshot();
      const items = data?.items ?? [];
      renderList(list, items, createRow, (row, job) => fillRow(row, job, app, !first && !known.has(job.id)));
      for (const job of items) known.add(job.id);
      if (data) first = false;
      set(list, { hidden: !items.length });
      set(more, { hidden: !data?.next });
      set(count, { textContent: data ? `${counted(items.length, "job")}${data.next ? " and more" : ""}, live` : "" });
      state.replaceChildren(
        ...(error && !data
          ? [nothing("The list could not be loaded", sentence(error))]
          : items.length
            ? []
            : loading && !data
              ? [skeleton(5)]
              : [nothing("No jobs match", "New ones appear here by themselves. Try fewer filters.")]),
      );
    };
    more.onclick = () => run(more, problem, live.more);
    unsubscribe = live.subscribe(render);
    render();
  };
  app.onLeave(() => unsubscribe());

  function filters() {
    const params = new URLSearchParams({ limit: "30" });
    const [min, max] = budget.value ? budget.value.split("-") : ["", ""];
    for (const [name, value] of Object.entries({
      status: status.value,
      category: category.value,
      skills: skills.value.trim(),
      q: query.value.trim(),
      minBudget: min,
      maxBudget: max,
    }))
      if (value) params.set(name, value);
    return params;
  }
  function address() {
    const params = new URLSearchParams();
    for (const control of [query, category, budget, skills])
      if (control.value.trim()) params.set(control.name, control.value.trim());
    if (status.value !== "open") params.set("status", status.value);
    return params.size ? `?${params}` : "";
  }

  suggest(app, query, menu, () => load());
  for (const control of [category, budget, status]) control.onchange = load;
  skills.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(load, 300);
  };
  const filterRow = h(
    "form",
    {
      className: "filters",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        set(menu, { hidden: true });
        load();
      },
    },
    h("div", { className: "search" }, query, menu),
    category,
    budget,
    skills,
    status,
  );
  load();
  return {
    title: "Find work",
    element: h(
      "div",
      { className: "page" },
      h("div", { className: "head" }, heading, count),
      filterRow,
      state,
      list,
      h("div", { className: "center" }, more, problem),
    ),
  };
}

/** @param {string} label @param {string[][]} options @param {string | null} chosen */
function select(label, options, chosen) {
  const element = h(
    "select",
    { name: label === "State" ? "status" : label.toLowerCase(), ariaLabel: label },
    ...options.map(([text, value]) => h("option", { textContent: text, value })),
  );
  element.value = options.some(([, value]) => value === chosen) ? chosen : options[0][1];
  return element;
}

/** Suggestions under the field: the combobox pattern of WAI-ARIA. */
function suggest(app, input, menu, pick) {
  let timer;
  let selected = -1;
  const close = () => {
    set(menu, { hidden: true });
    set(input, { ariaExpanded: "false" });
    input.removeAttribute("aria-activedescendant");
    selected = -1;
  };
  const choose = (text) => {
    input.value = text;
    close();
    pick();
  };
  const mark = (index) => {
    selected = index;
    [...menu.children].forEach((option, position) => set(option, { ariaSelected: String(position === selected) }));
    if (selected >= 0) input.setAttribute("aria-activedescendant", menu.children[selected].id);
  };
  input.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      pick();
      const q = input.value.trim();
      const found =
        q.length < 2 ? null : await app.request("GET", `/api/jobs/suggest?q=${encodeURIComponent(q)}`).catch(() => null);
      const texts = found ? [...found.titles, ...found.skills].slice(0, 8) : [];
      menu.replaceChildren(
        ...texts.map((text, index) =>
          h("li", {
            role: "option",
            id: `suggestion-${index}`,
            textContent: text,
            ariaSelected: "false",
            onpointerdown: (event) => {
              event.preventDefault();
              choose(text);
            },
          }),
        ),
      );
      selected = -1;
      set(menu, { hidden: !texts.length || document.activeElement !== input });
      set(input, { ariaExpanded: String(!menu.hidden) });
    }, 150);
  };
  input.onkeydown = (event) => {
    if (menu.hidden) return;
    const last = menu.children.length - 1;
    if (event.key === "ArrowDown") mark(selected < last ? selected + 1 : 0);
    else if (event.key === "ArrowUp") mark(selected > 0 ? selected - 1 : last);
    else if (event.key === "Enter" && selected >= 0) choose(menu.children[selected].textContent);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  };
  input.onblur = close;
}

export function createRow({ id }) {
  return h(
    "article",
    { className: "job", "data-testid": "job" },
    h(
      "div",
      { className: "summary" },
      h("h2", {}, link(`/jobs/${id}`)),
      h("p", { className: "facts" }),
      h("p", { className: "teaser" }),
      h("div", { className: "tags" }),
    ),
    h("div", { className: "price" }, h("b"), h("small")),
  );
}

/** @param {any} row @param {any} job @param {any} app @param {boolean} fresh */
export function fillRow(row, job, app, fresh = false) {
  const at = (selector) => row.querySelector(selector);
  if (fresh) row.classList.add("fresh");
  // The link element is kept, because it may have the focus.
  set(at("h2 a"), { textContent: job.title });
  const mine = job.owner.id === app.user?.id;
  at(".facts").replaceChildren(
    ...[mine ? "Your job" : job.owner.name, job.category, when(job.createdAt), job.instantAccept && "Instant accept"]
      .filter(Boolean)
      .map((text) => h("span", {}, text)),
  );
  if (job.status !== "open") at(".facts").prepend(chip(job.status));
  set(at(".teaser"), { textContent: job.description });
  at(".tags").replaceChildren(job.skills.length ? skillList(job.skills) : "");
  set(at(".price b"), { textContent: money(job.budget, job.currency) });
  set(at(".price small"), { textContent: counted(job.bidCount, "bid") });
}
