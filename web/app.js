/** Where the parts of the page meet: who is signed in, what they see, and what each event does. */

import { Api, Problem } from "/static/api.js";
import { Client } from "/static/client.js";
import { ago, attempt, copy, money, part, sentence, write } from "/static/dom.js";
import { door } from "/static/door.js";
import { Freelancer } from "/static/freelancer.js";
import { Inbox, iconOf } from "/static/inbox.js";
import { cardOf } from "/static/jobs.js";
import { Stream } from "/static/stream.js";
import { Toasts } from "/static/toasts.js";

const STATES = { live: "Live", connecting: "Connecting…", offline: "Offline" };
const SIGNED_OUT = "You were signed out. Sign in again to go on.";
const CLOCK = 30_000;
/** Announcements this browser has toasted already. */
const HEARD = "gigwire-announcements";
const HEARD_AT_MOST = 50;

const page = /** @type {HTMLElement} */ (document.getElementById("page"));
const toasts = new Toasts(/** @type {HTMLElement} */ (document.getElementById("toasts")));
/** @type {Desk | null} */
let desk = null;
const api = new Api(() => leave(SIGNED_OUT));

class Desk {
  /** How far the hub's clock is ahead of this one, ms. */
  #skew = 0;
  /** @type {Stream | null} */
  #stream = null;
  #left = false;
  leaving = false;

  /** @param {any} user */
  constructor(user) {
    this.user = user;
    this.root = copy("desk");
    const work = part(this.root, "work");
    const View = { client: Client, freelancer: Freelancer }[/** @type {string} */ (user.role)];
    if (View) this.view = new View(work, api, user);
    else work.textContent = "As an admin you post no jobs and place no bids; what concerns you is in your notifications.";
    this.inbox = new Inbox(this.root, api, (jobId) => this.#reveal(jobId));
    write(this.root, { name: user.name, role: user.role });
    const bar = part(this.root, "bar");
    const button = part(bar, "send");
    button.addEventListener("click", () => attempt(bar, () => this.#logOut(), button));
  }

  /** Fetch everything, then listen from where the inbox was read: nothing falls between. */
  async begin() {
    await this.#refetch();
    if (this.#left) return;
    this.#stream = new Stream(this.inbox.cursor, {
      hear: (name, data) => this.#hear(name, data),
      state: (state) => this.#state(state),
      refused: () => void api.get("/api/auth/me").catch(() => {}),
    });
  }

  end() {
    this.#left = true;
    this.#stream?.close();
    toasts.clear();
    document.title = "Gigwire";
  }

  /** @param {string} name @param {any} data */
  #hear(name, data) {
    if (data.serverTime) this.#skew = Date.parse(data.serverTime) - Date.now();
    if (name === "connection_confirmed") this.#confirmed(data);
    else if (name === "reset") this.#refetch();
    else if (name === "bye" && ["logout", "revoked"].includes(data.reason)) leave(SIGNED_OUT);
    else if (name === "notification") this.#notify(data);
    else if (name === "notification_state") this.inbox.apply(data);
    else if (name === "announcement") this.#announce(data);
    else if (name === "job_created" && this.#isForMe(data)) this.#newJob(data);
    if (data.invalidates) this.view?.invalidate(data.invalidates, data);
  }

  /** @param {any} confirmation */
  #confirmed({ unread }) {
    this.inbox.count(unread);
    for (const part of [this.inbox, this.view]) if (part?.fresh.broken) part.fresh.ask();
  }

  #refetch() {
    return Promise.all([this.inbox.fresh.ask(), this.view?.fresh.ask(), this.#announcements()]);
  }

  /** @param {any} notification */
  #notify(notification) {
    this.inbox.add(notification);
    const { title, body, actions, createdAt } = notification;
    const toast = { icon: iconOf(notification), title, body, actions };
    toasts.arrive(toast, this.#age(createdAt), (action) => this.inbox.act(notification, action));
  }

  /** A job is news to a freelancer if a skill matches; where either side names none, all match. @param {any} job */
  #isForMe(job) {
    const mine = new Set(this.user.skills.map((/** @type {string} */ skill) => skill.toLowerCase()));
    const match = job.skills.some((/** @type {string} */ skill) => mine.has(skill.toLowerCase()));
    return this.user.role === "freelancer" && (match || !mine.size || !job.skills.length);
  }

  /** @param {any} job */
  #newJob({ title, budget, currency, category, createdAt }) {
    const body = [title, money(budget, currency), category].filter(Boolean).join(" · ");
    toasts.arrive({ icon: "💼", title: "New Job Posted!", body }, this.#age(createdAt));
  }

  /** What is said to everybody and still in force; nothing of it is worth an error. */
  async #announcements() {
    const { items } = await api.get("/api/announcements").catch(() => ({ items: [] }));
    if (!this.#left) for (const announcement of items.reverse()) this.#announce(announcement);
  }

  /** Toast it once in this browser. @param {any} announcement */
  #announce({ id, title, body }) {
    const heard = (localStorage.getItem(HEARD) ?? "").split(" ");
    if (heard.includes(id)) return;
    localStorage.setItem(HEARD, [id, ...heard].slice(0, HEARD_AT_MOST).join(" "));
    toasts.show({ icon: iconOf({ type: "announcement" }), title, body });
  }

  /** How long ago that was, ms, by the hub's clock. @param {string} time */
  #age(time) {
    return Date.now() + this.#skew - Date.parse(time);
  }

  /** Show a job where it is on this page. @param {string} id */
  #reveal(id) {
    const card = cardOf(this.root, id);
    card?.scrollIntoView({ block: "center" });
    card?.focus({ preventScroll: true });
    return Boolean(card);
  }

  /** @param {import("/static/stream.js").State} state */
  #state(state) {
    const element = part(this.root, "state");
    if (element.dataset.state === state) return;
    element.dataset.state = state;
    element.textContent = STATES[state];
  }

  async #logOut() {
    this.leaving = true;
    await api.post("/api/auth/logout").catch((error) => {
      this.leaving = false;
      throw error;
    });
    leave("");
  }
}

/** @param {any} user */
function enter(user) {
  desk = new Desk(user);
  page.replaceChildren(desk.root);
  desk.begin();
}

/** Back to the door; somebody who asked to leave needs no reason. @param {string} notice */
function leave(notice) {
  if (!desk) return;
  const reason = desk.leaving ? "" : notice;
  desk.end();
  desk = null;
  page.replaceChildren(door(api, reason, enter));
}

function tick() {
  for (const time of document.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}

async function start() {
  setInterval(tick, CLOCK);
  try {
    enter(await api.get("/api/auth/me"));
  } catch (error) {
    page.replaceChildren(door(api, isSignedOut(error) ? "" : sentence(error), enter));
  }
}

/** @param {unknown} error */
function isSignedOut(error) {
  return error instanceof Problem && error.status === 401;
}

start();
