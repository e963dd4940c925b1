/**
 * One signed-in browser: the stream, the inbox, what waits to be sent, and what of it is kept on disk.
 * It runs once per browser (in a worker, or in the tab that leads) and knows no document.
 */

import { FILTERS, Inbox } from "./inbox.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { requester } from "./request.js";
import { Storage } from "./storage.js";
import { Stream } from "./stream.js";

/** Events older than this when they arrive were missed: they are summed up, not shown one by one. */
const LATE = 60_000;
/** A list that was kept longer than this is fetched anew instead of being continued. */
const MOST_KEPT = 300;
const UNDO_FOR = 30_000;
/** What passes by and has no place in the log. */
const EPHEMERAL = ["connection_confirmed", "reset", "heartbeat", "bye", "typing", "presence"];

const EMPTY = {
  items: [],
  unread: 0,
  unseen: 0,
  pages: {},
  loaded: false,
  loading: false,
  error: null,
  asOf: null,
};
const START = {
  status: "connecting",
  user: undefined,
  inbox: EMPTY,
  announcements: [],
  outbox: [],
  undo: null,
  heartbeat: null,
};

/** @param {string} cursor `<epoch>.<position>` */
function parse(cursor) {
  const dot = cursor.lastIndexOf(".");
  return { epoch: cursor.slice(0, dot), position: Number(cursor.slice(dot + 1)) };
}

/** Whether a place in the log is after another; every event is applied once, however often it is told. */
function isPast(cursor, other) {
  if (!cursor || !other) return true;
  const [a, b] = [parse(cursor), parse(other)];
  return a.epoch !== b.epoch || a.position > b.position;
}

const browserClock = () => ({
  now: () => Date.now(),
  setTimeout: (act, ms) => setTimeout(act, ms),
  clearTimeout: (timer) => clearTimeout(timer),
});

export class Core {
  #listeners = new Set();
  #hearers = new Set();
  #inbox = new Inbox();
  #state = START;
  #drawn = true;
  #told = true;
  /** @type {Stream | null} */
  #stream = null;
  /** How far the stream was read, how far a page heard it, and how far the inbox is known: a list may be ahead of the stream. */
  #cursor = "";
  #heard = "";
  #listedAt = "";
  #life = 0;
  #leaving = false;
  #extra = new Set();
  #put = new Set();
  #remove = new Set();
  #clear = false;
  #saving = null;
  #dirty = false;
  #stored = "";
  #offset = 0;
  #late = 0;
  #lateTimer;
  #retryTimer;
  #retries = 0;
  #fetching = null;
  #meanwhile = null;
  #changing = Promise.resolve();
  #asked = {};
  /** @type {Outbox} */
  #outbox;
  /** @type {Presence} */
  #presence;

  /**
   * @param {{url?: string, token?: () => Promise<string | null>, fetch?: any, EventSource?: any, storage?: any, clock?: any,
   *   random?: () => number}} [options] `url` the hub's origin where it is not the page's own, `token` a signed-in user's then
   */
  constructor(options = {}) {
    this.url = options.url ?? "";
    this.token = options.token;
    this.EventSource = options.EventSource ?? globalThis.EventSource;
    this.clock = options.clock ?? browserClock();
    this.random = options.random ?? Math.random;
    this.storage = options.storage ?? new Storage(this.url);
    this.request = requester({ url: this.url, fetch: options.fetch, token: this.token });
    this.#outbox = new Outbox({
      ...this,
      changed: (outbox) => this.#set({ outbox }),
      sent: (message) => this.#say("message", message),
    });
    this.#presence = new Presence({
      ...this,
      stored: () => this.#stored,
      isLive: () => this.#state.status === "live",
    });
  }

  // ---- What a reader sees

  /** @param {(changed: string[]) => void} listener @returns {() => void} */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param {(event: {name: string, data: any, id: string, late: boolean}) => void} hearer @returns {() => void} */
  onEvent(hearer) {
    this.#hearers.add(hearer);
    return () => this.#hearers.delete(hearer);
  }

  /** The same object as long as nothing changed. */
  getSnapshot() {
    if (!this.#drawn) {
      this.#drawn = true;
      const view = this.#inbox.view();
      this.#state = { ...this.#state, inbox: { ...this.#state.inbox, ...view, pages: { ...this.#inbox.pages } } };
    }
    return this.#state;
  }

  #set(patch) {
    this.#state = { ...this.#state, ...patch };
    this.#tell();
  }

  #setInbox(patch = {}) {
    this.#state = { ...this.#state, inbox: { ...this.#state.inbox, ...patch } };
    this.#drawn = false;
    this.#tell();
  }

  /** Once for whatever changes in one go. */
  #tell() {
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      for (const listener of [...this.#listeners]) listener();
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
      if (this.#state.user === undefined) this.#set({ user: null });
      if (!this.#stream) this.#set({ status: "offline" });
      this.#again(() => this.#enter(life));
    }
  }

  async #welcome(user, life) {
    if (this.#state.user && this.#state.user.id !== user.id) {
      this.#stop();
      await this.#forget();
    }
    if (life !== this.#life) return;
    this.#set({ user });
    this.#retries = 0;
    if (!this.#listedAt) await this.#snapshot(life);
    else this.#saveSoon();
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
    if (this.#state.user?.id !== user.id) await this.#forget();
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
      if (this.#state.user) await this.#leave("logout");
    } finally {
      this.#leaving = false;
    }
  }

  async #leave(reason) {
    ++this.#life;
    this.#stop();
    const was = this.#state.user;
    const own = this.#leaving;
    await this.#forget();
    this.#set({ user: null, status: "signed-out" });
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
    this.#cursor = this.#heard = this.#listedAt = this.#stored = "";
    this.#put.clear();
    this.#remove.clear();
    this.#dirty = this.#clear = false;
    this.#asked = {};
    this.#outbox.messages = [];
    this.#state = { ...START, status: this.#state.status };
    this.#setInbox(EMPTY);
    await this.#saving;
    await this.storage.wipe();
  }

  #restore({ meta, items, outbox }) {
    if (items.length <= MOST_KEPT) this.#cursor = this.#heard = this.#stored = meta.cursor;
    if (this.#cursor) this.#listedAt = meta.listedAt;
    this.#inbox.items = new Map(items.map((item) => [item.id, item]));
    Object.assign(this.#inbox, { unread: meta.unread, unseen: meta.unseen, pages: meta.pages });
    this.#set({ user: meta.user, announcements: meta.announcements ?? [] });
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
    else if (this.#state.status === "offline") {
      this.#retries = 0;
      this.#enter(this.#life);
    }
  }

  #status(status) {
    if (status === this.#state.status) return;
    this.#set({ status });
    this.#say("status", { status });
    if (status === "live") this.#outbox.flush();
  }

  #hear(name, data, id) {
    if (name === "connection_confirmed") return this.#confirmed(data);
    if (name === "reset") this.#reset();
    if (EPHEMERAL.includes(name)) {
      if (name === "heartbeat") this.#set({ heartbeat: this.clock.now() });
      if (id && name !== "connection_confirmed") this.#moveTo(id);
      return this.#say(name, data, id);
    }
    if (!isPast(id, this.#cursor)) return;
    const late = this.#isLate(data);
    if (isPast(id, this.#listedAt)) this.#apply(name, data);
    this.#meanwhile?.push([name, data, id]);
    this.#moveTo(id);
    this.#say(name, data, id, late);
    if (late && name === "notification") this.#sumUp();
    if (name === "notification" || name === "message") this.#presence.shortly();
  }

  #confirmed(data) {
    if (this.#state.user && data.userId && data.userId !== this.#state.user.id) {
      // Another user signed in with this browser while we were away.
      this.#stop();
      this.#forget().then(() => this.start());
      return;
    }
    this.#offset = Date.parse(data.serverTime) - this.clock.now() || 0;
    this.#set({ heartbeat: this.clock.now() });
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
    await this.#snapshot(this.#life);
    this.#announcements();
  }

  #moveTo(id) {
    if (!id || !isPast(id, this.#cursor)) return;
    this.#cursor = id;
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

  #apply(name, data) {
    if (name === "notification") {
      this.#put.add(this.#inbox.arrive(data).id);
      this.#setInbox();
    } else if (name === "notification_state") {
      this.#noted(this.#inbox.apply({ ...data, at: new Date(this.clock.now() + this.#offset).toISOString() }));
    } else if (name === "announcement") {
      this.#set({ announcements: [data, ...this.#state.announcements.filter((one) => one.id !== data.id)] });
    }
  }

  #noted({ touched, removed, unknown }) {
    for (const id of touched) this.#put.add(id);
    for (const id of removed) this.#remove.add(id);
    this.#setInbox();
    this.#saveSoon();
    if (unknown) this.refresh();
  }

  // ---- Lists

  /** Fetch the inbox anew. The stream goes on; what it tells meanwhile and the list knows already changes nothing. */
  refresh() {
    return this.#snapshot(this.#life);
  }

  async #snapshot(life) {
    this.#fetching ??= this.#fetchInbox(life).finally(() => (this.#fetching = this.#meanwhile = null));
    return this.#fetching;
  }

  async #fetchInbox(life) {
    this.#setInbox({ loading: true, error: null });
    this.#meanwhile = [];
    try {
      const page = await this.request("GET", `/api/notifications?${FILTERS.all.query}&limit=30`);
      if (life !== this.#life) return;
      this.#inbox.replace(page);
      // What the stream told while the list was on its way, and the list does not have yet.
      for (const [name, data, id] of this.#meanwhile) if (isPast(id, page.cursor)) this.#apply(name, data);
      this.#asked = {};
      this.#clear = true;
      this.#put = new Set(this.#inbox.items.keys());
      this.#remove.clear();
      this.#setInbox({ loaded: true, loading: false, error: null });
      this.#listedAt = page.cursor;
      this.#cursor ||= page.cursor;
      this.#heard ||= page.cursor;
      this.#saveSoon();
      this.#say("snapshot", { cursor: page.cursor });
    } catch (error) {
      if (life !== this.#life) return;
      if (error.status === 401) return void (await this.#leave("unauthenticated"));
      this.#setInbox({ loading: false, error: error.message });
      if (!this.#stream) {
        this.#set({ status: "offline" });
        this.#again(() => this.#enter(life));
      }
    }
  }

  /** One more page of a filter. @param {string} filter @returns {Promise<void>} */
  more(filter = "all") {
    this.#asked[filter] ??= this.#fetchMore(filter, this.#life).finally(() => (this.#asked[filter] = null));
    return this.#asked[filter];
  }

  async #fetchMore(filter, life) {
    const { next } = this.#inbox.pages[filter] ?? {};
    if (next === null) return;
    this.#setInbox({ loading: true, error: null });
    try {
      const after = next ? `&after=${encodeURIComponent(next)}` : "";
      const page = await this.request("GET", `/api/notifications?${FILTERS[filter].query}&limit=30${after}`);
      if (life !== this.#life) return;
      const known = new Set(this.#inbox.items.keys());
      // What the stream said since is newer than this page.
      this.#inbox.add(filter, { ...page, items: page.items.filter((item) => !known.has(item.id)) });
      this.#inbox.pages[filter] = { next: page.next, floor: page.next === null ? "" : page.items.at(-1).id };
      for (const item of page.items) this.#put.add(item.id);
      this.#setInbox({ loading: false });
      this.#saveSoon();
    } catch (error) {
      this.#setInbox({ loading: false, error: error.message });
      throw error;
    }
  }

  async #announcements() {
    const life = this.#life;
    const page = await this.request("GET", "/api/announcements").catch(() => null);
    if (page && life === this.#life) this.#set({ announcements: page.items });
  }

  // ---- Changes of the inbox: shown at once, taken back when the hub refuses

  /** @param {string[]} ids */
  read = (ids) => this.#change("read", "read", { ids });
  unread = (ids) => this.#change("unread", "unread", { ids });
  seen = (ids) => this.#change("seen", "seen", { ids });
  archive = (ids) => this.#change("archive", "archived", { ids });
  unarchive = (ids) => this.#change("unarchive", "unarchived", { ids });

  /** Everything that is listed now; what comes while the request is under way stays unread. */
  readAll() {
    const newest = this.getSnapshot().inbox.items.find((item) => !item.archivedAt);
    return newest ? this.#change("read", "read", { all: true, before: newest.id }) : Promise.resolve();
  }

  /** @param {string} verb @param {string} state @param {{ids?: string[], all?: boolean, before?: string}} which */
  async #change(verb, state, which) {
    const change = { ...which, state, at: new Date(this.clock.now() + this.#offset).toISOString() };
    const before = this.getSnapshot().inbox.items;
    this.#inbox.pending.add(change);
    this.#setInbox();
    const after = new Map(this.getSnapshot().inbox.items.map((item) => [item.id, item]));
    const ids = before.filter((item) => after.get(item.id) !== item).map((item) => item.id);
    if (which.ids && !ids.length) {
      this.#inbox.pending.delete(change);
      return;
    }
    const unsee = before.filter((item) => !item.seenAt && ids.includes(item.id)).map((item) => item.id);
    const undo = { verb, ids, unsee, token: null, until: this.clock.now() + UNDO_FOR };
    if (verb === "seen" || verb === "unread")
      return this.#attempt(change, () => this.request("POST", `/api/realtime/notifications/${verb}`, which));
    this.#set({ undo });
    this.#changing = this.#attempt(
      change,
      async () => {
        const { undo: token } = await this.request("POST", `/api/realtime/notifications/${verb}`, which);
        if (this.#state.undo === undo && token) this.#set({ undo: { ...undo, token } });
      },
      () => this.#state.undo?.until === undo.until && this.#set({ undo: null }),
    );
    return this.#changing;
  }

  async #attempt(change, act, failed = () => {}) {
    const inbox = this.#inbox;
    try {
      await act();
      if (inbox === this.#inbox) this.#noted(inbox.settle(change));
    } catch (error) {
      inbox.pending.delete(change);
      this.#setInbox();
      failed();
      throw error;
    }
  }

  /** Put back what the last change did. */
  async undo() {
    await this.#changing.catch(() => {});
    const { undo } = this.#state;
    if (!undo?.token) return;
    const state = { read: "unread", archive: "unarchived", unarchive: "archived" }[undo.verb];
    const change = { ids: undo.ids, unsee: undo.unsee, state, at: new Date(this.clock.now()).toISOString() };
    this.#inbox.pending.add(change);
    this.#set({ undo: null });
    this.#setInbox();
    await this.#attempt(
      change,
      async () => {
        const counts = await this.request("POST", "/api/realtime/notifications/undo", { undo: undo.token });
        if (this.#state.status !== "live") Object.assign(this.#inbox, { unread: counts.unread, unseen: counts.unseen });
      },
      () => this.#set({ undo }),
    );
  }

  /** The bar that offers to undo was closed. */
  forgetUndo() {
    this.#set({ undo: null });
  }

  /** Press a notification's button: kept, in every tab. @param {string} id @param {string} action */
  async act(id, action) {
    const change = { ids: [id], state: "action", action, at: "" };
    this.#inbox.pending.add(change);
    this.#setInbox();
    await this.#attempt(change, () => this.request("POST", `/api/notifications/${id}/actions/${action}`));
  }

  // ---- Messages and presence

  /** @param {any} message @returns {Promise<string>} its clientMessageId, as soon as it is kept */
  send = (message) => this.#outbox.send(message);
  resend = (clientMessageId) => this.#outbox.resend(clientMessageId);
  discard = (clientMessageId) => this.#outbox.discard(clientMessageId);
  active = () => this.#presence.active();

  // ---- The disk

  /** A page has shown this event. What none has is not kept as told: a page that is leaving hears nothing. @param {string} id */
  heard(id) {
    if (!id || !isPast(id, this.#heard)) return;
    this.#heard = id;
    this.#saveSoon();
  }

  #saveSoon() {
    this.#dirty = true;
    this.#saving ??= this.#save().finally(() => (this.#saving = null));
  }

  async #save() {
    await null;
    while (this.#dirty && this.#state.user) {
      this.#dirty = false;
      const { user, announcements } = this.#state;
      const cursor = this.#heard;
      const change = {
        meta: {
          user,
          announcements,
          cursor: this.#listedAt && cursor,
          listedAt: this.#listedAt && (isPast(this.#cursor, this.#listedAt) ? this.#cursor : this.#listedAt),
          at: this.clock.now(),
          ...this.#inbox.kept,
        },
        put: [...this.#put].map((id) => this.#inbox.items.get(id)).filter(Boolean),
        remove: [...this.#remove],
        clear: this.#clear,
      };
      this.#put.clear();
      this.#remove.clear();
      this.#clear = false;
      await this.storage.save(change);
      this.#stored = cursor;
    }
  }
}
