/**
 * One signed-in browser: who is here, the stream, and what follows from both for the inbox and for what waits to be sent.
 * It runs once per browser (in a worker, or in the tab that leads) and knows no document.
 */

import { Changes, VERBS } from "./inbox-changes.js";
import { isPast } from "./cursor.js";
import { Inbox } from "./inbox.js";
import { Keeper } from "./persistence.js";
import { Lists } from "./inbox-pages.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { requester } from "./request.js";
import { Storage } from "./indexed-db.js";
import { Store } from "./observable.js";
import { Stream } from "./stream.js";

/** Events older than this when they arrive were missed: they are summed up, not shown one by one. */
const LATE = 60_000;
/** A list that was kept longer than this is fetched anew instead of being continued. */
const MOST_KEPT = 300;
/** Pages stay open for weeks: with more than so many in hand, the inbox is listed anew. */
const MOST_HELD = 1_000;
const MOST_ANNOUNCEMENTS = 50;
/** What passes by and has no place in the log. */
const EPHEMERAL = ["reset", "heartbeat", "bye", "typing", "presence"];

const EMPTY = Object.freeze({
  items: [],
  unread: 0,
  unseen: 0,
  pages: {},
  loaded: false,
  loading: false,
  error: null,
  asOf: null,
});
/** Before anything is known, and on a server. */
export const NOBODY = Object.freeze({
  status: "connecting",
  user: undefined,
  inbox: EMPTY,
  announcements: [],
  outbox: [],
  undo: null,
  heartbeat: null,
});

const browserClock = () => ({
  now: () => Date.now(),
  setTimeout: (act, ms) => setTimeout(act, ms),
  clearTimeout: (timer) => clearTimeout(timer),
});

export class Core extends Store {
  #hearers = new Set();
  #inbox = new Inbox();
  #drawn = true;
  #told = true;
  /** @type {Stream | null} */
  #stream = null;
  /** How far the stream was read, and how far the inbox is known: a list may be ahead of the stream. */
  #cursor = "";
  #listedAt = "";
  #life = 0;
  #leaving = false;
  #extra = new Set();
  #offset = 0;
  #late = 0;
  #lateTimer;
  #retryTimer;
  #retries = 0;
  #outbox;
  #presence;
  #keeper;
  #wiring;
  #lists;

  /**
   * @param {{url?: string, token?: () => Promise<string | null>, fetch?: any, EventSource?: any, storage?: any, clock?: any,
   *   random?: () => number}} [options] `url` the hub's origin where it is not the page's own, `token` a signed-in user's then
   */
  constructor(options = {}) {
    super(NOBODY);
    this.url = options.url ?? "";
    this.token = options.token;
    this.EventSource = options.EventSource ?? globalThis.EventSource;
    this.clock = options.clock ?? browserClock();
    this.random = options.random ?? Math.random;
    this.storage = options.storage ?? new Storage(this.url);
    this.request = requester({ url: this.url, fetch: options.fetch, token: this.token });
    const { request, clock, random, storage } = this;
    this.#wiring = {
      ...{ request, clock, random, storage },
      inbox: () => this.#inbox,
      items: () => this.#inbox.items,
      shown: this.getSnapshot,
      now: () => this.#now(),
      meta: () => this.#meta(),
      draw: (patch) => this.#setInbox(patch),
      apply: (name, data) => this.#apply(name, data),
      kept: (what) => this.#keeper.note(what),
      noted: (result) => this.#noted(result),
      offer: (undo) => this.set({ undo }),
      stored: () => this.#keeper.stored,
      isLive: () => this.state.status === "live",
      changed: (outbox) => this.set({ outbox }),
      sent: (message) => this.#say("message", message),
    };
    this.#keeper = new Keeper(this.#wiring);
    this.#lists = new Lists(this.#wiring);
    this.#outbox = new Outbox(this.#wiring);
    this.#presence = new Presence(this.#wiring);
    const changes = new Changes(this.#wiring);
    for (const verb of VERBS) this[verb] = (ids) => changes.change(verb, { ids });
    for (const name of ["readAll", "undo", "act"]) this[name] = (...args) => changes[name](...args);
    for (const name of ["send", "resend", "discard"]) this[name] = (id) => this.#outbox[name](id);
  }

  // ---- What a reader sees

  /** @param {(event: {name: string, data: any, id: string, late: boolean}) => void} hearer @returns {() => void} */
  onEvent(hearer) {
    this.#hearers.add(hearer);
    return () => this.#hearers.delete(hearer);
  }

  /** The same object as long as nothing changed. */
  getSnapshot = () => {
    if (!this.#drawn) {
      this.#drawn = true;
      const { inbox } = this.state;
      this.state = { ...this.state, inbox: { ...inbox, ...this.#inbox.view(), pages: { ...this.#inbox.pages } } };
    }
    return this.state;
  };

  #setInbox(patch = {}) {
    this.#drawn = false;
    this.set({ inbox: { ...this.state.inbox, ...patch } });
  }

  /** Once for whatever changes in one go. */
  changed() {
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      super.changed();
    });
  }

  #say(name, data, id = "", late = false) {
    for (const hearer of [...this.#hearers]) hearer({ name, data, id, late });
  }

  // ---- Coming and going

  /** Take up where this browser left off; ask who is here. @returns {Promise<void>} */
  async start() {
    const life = ++this.#life;
    this.#stop();
    const kept = await this.storage.load();
    if (life !== this.#life) return;
    if (kept.meta) this.#restore(kept);
    if (this.#cursor && !this.token) this.#open(this.#cursor);
    await this.#enter(life);
  }

  async #enter(life) {
    try {
      if (this.token && !(await this.token())) return await this.#leave("unauthenticated");
      const user = await this.request("GET", "/api/auth/me");
      if (life !== this.#life) return;
      await this.#welcome(user, life);
    } catch (error) {
      if (life !== this.#life) return;
      if (error.status === 401 || error.status === 403) return this.#leave("unauthenticated");
      if (this.state.user === undefined) this.set({ user: null });
      if (!this.#stream) this.set({ status: "offline" });
      this.#again(() => this.#enter(life));
    }
  }

  async #welcome(user, life) {
    if (this.state.user && this.state.user.id !== user.id) {
      this.#stop();
      await this.#forget();
    }
    if (life !== this.#life) return;
    this.set({ user });
    this.#retries = 0;
    if (!this.#listedAt) await this.#list(life);
    else this.#keeper.note();
    if (life !== this.#life || !this.#listedAt) return;
    if (!this.#stream) this.#open(this.#cursor);
    this.#announcements();
    this.#outbox.flush();
    this.#presence.start();
  }

  /** Somebody signed in on a page: this browser is theirs. @param {any} user */
  async signedIn(user) {
    const life = ++this.#life;
    this.#stop();
    if (this.state.user?.id !== user.id) await this.#forget();
    if (life === this.#life) await this.#welcome(user, life);
  }

  /** Sign out here and in every tab. */
  async logout() {
    // The stream may hear of it before the answer is here.
    this.#leaving = true;
    try {
      await this.request("POST", "/api/auth/logout").catch((error) => {
        if (error.status !== 401) throw error;
      });
      if (this.state.user) await this.#leave("logout");
    } finally {
      this.#leaving = false;
    }
  }

  async #leave(reason) {
    ++this.#life;
    this.#stop();
    const was = this.state.user;
    const own = this.#leaving;
    await this.#forget();
    this.set({ user: null, status: "signed-out" });
    if (was) this.#say("signed-out", { reason, own });
  }

  /** End for good: nobody is looking any more. */
  close() {
    ++this.#life;
    this.#stop();
  }

  #stop() {
    this.#stream?.close();
    this.#stream = null;
    for (const timer of [this.#retryTimer, this.#lateTimer]) this.clock.clearTimeout(timer);
    this.#presence.stop();
    this.#outbox.rest();
    this.#late = 0;
  }

  async #forget() {
    this.#inbox = new Inbox();
    this.#lists = new Lists(this.#wiring);
    this.#cursor = this.#listedAt = "";
    this.#outbox.messages = [];
    this.state = { ...NOBODY, status: this.state.status };
    this.#setInbox(EMPTY);
    await this.#keeper.forget();
  }

  #restore({ meta, items, outbox }) {
    if (items.length <= MOST_KEPT) this.#cursor = this.#keeper.place = this.#keeper.stored = meta.cursor;
    if (this.#cursor) this.#listedAt = meta.listedAt;
    this.#inbox.items = new Map(items.map((item) => [item.id, item]));
    Object.assign(this.#inbox, { unread: meta.unread, unseen: meta.unseen, pages: meta.pages });
    this.set({ user: meta.user, announcements: meta.announcements ?? [] });
    this.#outbox.restore(outbox);
    this.#setInbox({ loaded: true, asOf: meta.at });
  }

  #again(act) {
    this.clock.clearTimeout(this.#retryTimer);
    const wait = this.random() * Math.min(30_000, 1_000 * 2 ** this.#retries++);
    this.#retryTimer = this.clock.setTimeout(act, wait);
  }

  // ---- The stream

  #open(cursor) {
    this.#stream?.close();
    const life = this.#life;
    const mine =
      (act) =>
      (...args) =>
        life === this.#life && act(...args);
    this.#stream = new Stream(cursor, {
      open: (at) => this.#source(at),
      once: Boolean(this.token),
      probe: () =>
        this.request("GET", "/api/auth/me").then(
          () => 200,
          (error) => error.status,
        ),
      hear: mine((name, data, id) => this.#hear(name, data, id)),
      say: mine((status) => this.#status(status)),
      ended: mine((reason) => this.#leave(reason)),
      clock: this.clock,
      random: this.random,
    });
    for (const name of this.#extra) this.#stream.also(name);
  }

  async #source(cursor) {
    const asked = new URLSearchParams({ lastEventId: cursor });
    if (this.token) asked.set("ticket", (await this.request("POST", "/api/realtime/tickets")).ticket);
    return new this.EventSource(`${this.url}/api/realtime/connect?${asked}`);
  }

  /** Hear a type of event that only this application sends. @param {string} name */
  hearAlso(name) {
    this.#extra.add(name);
    this.#stream?.also(name);
  }

  /** A page became visible, the network is back: look whether the stream is alive. */
  wake() {
    if (this.#stream) this.#stream.hurry();
    else if (this.state.status === "offline") {
      this.#retries = 0;
      this.#enter(this.#life);
    }
  }

  #status(status) {
    if (status === this.state.status) return;
    this.set({ status });
    this.#say("status", { status });
    if (status === "live") this.#outbox.flush();
  }

  #hear(name, data, id) {
    if (name === "connection_confirmed") return this.#confirmed(data);
    if (name === "reset") this.#reset();
    if (EPHEMERAL.includes(name)) {
      if (name === "heartbeat") this.set({ heartbeat: this.clock.now() });
      this.#moveTo(id);
      return this.#say(name, data, id);
    }
    if (!isPast(id, this.#cursor)) return;
    const late = this.#isLate(data);
    if (isPast(id, this.#listedAt)) this.#apply(name, data);
    this.#lists.hear(name, data, id);
    this.#moveTo(id);
    this.#say(name, data, id, late);
    if (late && name === "notification") this.#sumUp();
    if (name === "notification" || name === "message") this.#presence.shortly();
  }

  #confirmed(data) {
    if (this.state.user && data.userId && data.userId !== this.state.user.id) {
      // Another user signed in with this browser while we were away.
      this.#stop();
      this.#forget().then(() => this.start());
      return;
    }
    this.#offset = Date.parse(data.serverTime) - this.clock.now() || 0;
    this.set({ heartbeat: this.clock.now() });
    this.#say("connection_confirmed", data);
    if (!this.#inbox.pending.size && data.cursor === this.#cursor && data.recovered !== false) this.#agree(data);
  }

  /** Counts that were true at the place where we stand: if ours are others, we missed something. */
  #agree({ unread, unseen }) {
    const head = this.#cursor;
    if (unread === this.#inbox.unread && unseen === this.#inbox.unseen) return;
    this.clock.setTimeout(() => head === this.#cursor && !this.#inbox.pending.size && this.refresh(), 250);
  }

  async #reset() {
    // Until everything is fetched, this browser has nothing to go on from.
    this.#listedAt = "";
    await this.#list(this.#life);
    this.#announcements();
  }

  #moveTo(id) {
    if (id && isPast(id, this.#cursor)) this.#cursor = id;
  }

  #isLate(data) {
    const at = Date.parse(data.createdAt ?? "");
    return this.clock.now() + this.#offset - at > LATE;
  }

  #sumUp() {
    this.#late += 1;
    this.clock.clearTimeout(this.#lateTimer);
    this.#lateTimer = this.clock.setTimeout(() => {
      this.#say("absence", { count: this.#late });
      this.#late = 0;
    }, 300);
  }

  #now() {
    return new Date(this.clock.now() + this.#offset).toISOString();
  }

  #apply(name, data) {
    if (name === "notification") {
      this.#noted({ touched: [this.#inbox.arrive(data).id], unknown: this.#inbox.items.size > MOST_HELD });
    } else if (name === "notification_state") {
      this.#noted(this.#inbox.apply({ ...data, at: this.#now() }));
    } else if (name === "announcement") {
      const others = this.state.announcements.filter(({ id }) => id !== data.id);
      this.set({ announcements: [data, ...others].slice(0, MOST_ANNOUNCEMENTS) });
    }
  }

  /** @param {{touched: string[], removed?: string[], unknown: boolean}} result `unknown`: of more than is in hand */
  #noted({ touched, removed, unknown }) {
    this.#keeper.note({ put: touched, remove: removed });
    this.#setInbox();
    if (unknown) this.refresh();
  }

  // ---- What is in the inbox

  /** Fetch it anew. The stream goes on; what it tells meanwhile and the list knows already changes nothing. */
  refresh() {
    return this.#list(this.#life);
  }

  async #list(life) {
    try {
      const page = await this.#lists.newest();
      if (!page || life !== this.#life) return;
      this.#listedAt = page.cursor;
      this.#cursor ||= page.cursor;
      this.#keeper.place ||= page.cursor;
      this.#keeper.note();
      this.#say("snapshot", { cursor: page.cursor });
    } catch (error) {
      if (life !== this.#life) return;
      if (error.status === 401) return void (await this.#leave("unauthenticated"));
      this.#setInbox({ loading: false, error: error.message });
      if (this.#stream) return;
      this.set({ status: "offline" });
      this.#again(() => this.#enter(life));
    }
  }

  /** One more page of a filter. @param {string} [filter] @returns {Promise<void>} */
  more(filter = "all") {
    return this.#lists.more(filter);
  }

  /** The bar that offers to undo was closed. */
  forgetUndo() {
    this.set({ undo: null });
  }

  async #announcements() {
    const life = this.#life;
    const page = await this.request("GET", "/api/announcements").catch(() => null);
    if (page && life === this.#life) this.set({ announcements: page.items });
  }

  /** Somebody typed, clicked or moved. */
  active() {
    this.#presence.active();
  }

  /** A page has shown this event. @param {string} id its place in the log */
  heard(id) {
    this.#keeper.heard(id);
  }

  /** What is kept beside the items; null while nobody is here. */
  #meta() {
    const { user, announcements } = this.state;
    const listed = this.#listedAt;
    const listedAt = listed && isPast(this.#cursor, listed) ? this.#cursor : listed;
    return (
      user && { user, announcements, cursor: listed && this.#keeper.place, listedAt, at: this.clock.now(), ...this.#inbox.kept }
    );
  }
}
