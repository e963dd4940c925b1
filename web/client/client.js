/**
 * The client library: `connect()` gives a store of what a signed-in user hears from the hub, and the acts on it.
 * However many tabs are open, a browser has one stream. It needs no document and draws nothing.
 */

import { Core, NOBODY } from "./core.js";
import { Conversation } from "./conversation.js";
import { Live } from "./live-query.js";
import { Host, Mirror, elect, isVisible } from "./tab-link.js";
import { newKey, requester } from "./request.js";
import { Store } from "./observable.js";

export { EMPTY_TALK } from "./conversation.js";
export { NOBODY } from "./core.js";
export { FILTERS, listed } from "./inbox.js";
export { UNKNOWN } from "./live-query.js";
export { Problem } from "./request.js";

/** What is done elsewhere, in the Core; each resolves when the hub has answered, and rejects with a Problem. */
const ACTS = ["signedIn", "refresh", "more", "readAll", "undo", "forgetUndo", "act", "resend", "discard"];
/** The same, for rows named by their ids. */
const ROWS = ["read", "unread", "seen", "archive", "unarchive"];
/** Events kept for a page that is still being built. */
const EARLY = 100;
const MOST_IDLE = 50;
/** Anything somebody does is told to the Core at most this often, ms. */
const ACTIVE_EVERY = 20_000;
const WAITING_EVERY = 1_000;

/** @typedef {import("./client.d.ts").Options} Options */

export class Client extends Store {
  #hearers = new Map();
  /** What came while the page was still being built is told to the first who asks for it. */
  #early = [];
  #invalidators = new Set();
  #lives = new Map();
  #conversations = new Map();
  #link;
  #host = null;
  #end = () => {};
  #ready = Promise.resolve();

  /** @param {Options} [options] */
  constructor(options = {}) {
    super(NOBODY);
    this.options = options;
    this.url = options.url ?? "";
    this.random = options.random ?? Math.random;
    this.tab = newKey();
    this.request = requester({ url: this.url, fetch: options.fetch, token: options.token });
    for (const name of ACTS) this[name] = (...args) => this.#call(name, ...args);
    for (const name of ROWS) this[name] = (...ids) => this.#call(name, ids);
    this.#begin(options.sharing ?? best(options));
    if (globalThis.document) this.#watchPage();
  }

  // ---- The store

  /** What is known now; the same object as long as nothing changed. */
  getSnapshot = () => {
    const state = this.#link?.getSnapshot();
    // A tab that has just begun to lead goes on showing what it knew until the disk is read.
    if (state && (state.user !== undefined || this.state === NOBODY)) this.state = state;
    return this.state;
  };

  /** On a server nobody is signed in. */
  getServerSnapshot = () => NOBODY;

  /**
   * Hear events as they come, once each: `on("notification", …)`, `on("*", …)` for all of them.
   * @param {string} name @param {(event: {name: string, data: any, id: string, late: boolean, show: boolean}) => void} hearer
   */
  on(name, hearer) {
    if (!this.#hearers.has(name)) {
      this.#hearers.set(name, new Set());
      for (const event of this.#early.filter((each) => each.name === name)) queueMicrotask(() => hearer(event));
    }
    this.#hearers.get(name).add(hearer);
    if (/^[a-z][a-z0-9_]*$/.test(name)) this.#call("hearAlso", name);
    return () => this.#hearers.get(name).delete(hearer);
  }

  /** The keys of what an event made old: "jobs", "job/…"; "*" after a reset. @param {(keys: string[]) => void} listener */
  onInvalidate(listener) {
    this.#invalidators.add(listener);
    return () => this.#invalidators.delete(listener);
  }

  /**
   * Something fetched by REST that stays fresh: fetched again when an event names one of its keys.
   * @param {string} path @param {string[]} keys @returns {Live}
   */
  live(path, keys) {
    return this.#one(this.#lives, path, () => new Live(this, path, keys));
  }

  /** A conversation with its messages. @param {string} id @returns {Conversation} */
  conversation(id) {
    return this.#one(this.#conversations, id, () => new Conversation(this, id));
  }

  /** What nobody looks at any more is let go when there is much of it. */
  #one(kept, key, make) {
    if (kept.size > MOST_IDLE) for (const [each, { idle }] of kept) if (idle) kept.delete(each);
    if (!kept.has(key)) kept.set(key, make());
    return kept.get(key);
  }

  // ---- Acts: those of the Core by the same names (see ACTS), and these

  /** Sign out, in every tab. */
  logout = () => {
    this.leaving = true;
    return this.#call("logout").finally(() => (this.leaving = false));
  };
  /** @param {any} message @returns {Promise<string>} its clientMessageId; it is sent when that is possible */
  sendMessage = (message) => this.#call("send", { clientMessageId: newKey(), ...message });
  /** @param {string} conversationId @param {boolean} typing */
  typing = (conversationId, typing) =>
    this.request("POST", "/api/realtime/messages/typing", { conversationId, typing }).catch(() => {});

  /** Leave; the stream ends when the last tab has left. */
  close() {
    this.#end();
    this.#link = null;
  }

  // ---- Where the Core is

  #begin(sharing) {
    const listener = { changed: () => this.changed(), event: (event) => this.#hear(event) };
    if (sharing === "worker") return this.#useWorker(listener);
    if (sharing === "lock") return this.#useLock(listener);
    const core = new Core(this.options);
    this.#use(core, listener);
    this.#ready = core.start();
    this.#end = () => core.close();
  }

  #useWorker(listener) {
    const worker = new SharedWorker(this.options.worker ?? new URL("./worker.js", import.meta.url), {
      type: "module",
      name: "gigwire",
    });
    // A browser that has shared workers but not of modules, or whose policy forbids them.
    worker.onerror = () => this.#link?.getSnapshot() || this.#useLock(listener);
    const { port } = worker;
    const mirror = new Mirror(this.tab, (message) => port.postMessage(message), listener);
    port.onmessage = ({ data }) => mirror.take(data);
    this.#link = mirror;
    this.#end = () => port.postMessage({ bye: this.tab });
  }

  #useLock(listener) {
    this.#end = elect({
      name: `gigwire ${this.url}`,
      tab: this.tab,
      listener,
      follow: (mirror) => (this.#link = mirror),
      lead: (mirror) => {
        const core = new Core(this.options);
        const stop = this.#use(core, listener);
        this.#ready = core.start();
        for (const { message, resolve, reject } of mirror.leftOver())
          this.#link.call(message.call, message.args).then(resolve, reject);
        // The tab that leads is one of the host's own.
        const hosted = (host) => {
          this.#host = host;
          this.#link.post = (message) => host.take(message, () => {});
          this.#link.post({ hello: this.tab, visible: isVisible() });
        };
        return { core, hosted, stop: () => (stop(), core.close(), (this.#host = null)) };
      },
    });
  }

  #use(core, listener) {
    const ends = [
      core.subscribe(listener.changed),
      core.onEvent((event) => {
        listener.event({ ...event, front: this.#host ? this.#host.front() : this.tab });
        core.heard(event.id);
      }),
    ];
    this.#link = {
      getSnapshot: () => core.getSnapshot(),
      call: async (name, args) => core[name](...args),
      post: (message) => message.visible && core.wake(),
    };
    return () => ends.forEach((end) => end());
  }

  #call(name, ...args) {
    return this.#link ? this.#link.call(name, args) : Promise.resolve();
  }

  #hear({ front, ...event }) {
    const told = { ...event, show: isVisible() || front === this.tab };
    const keys = keysOf(told);
    if (keys.length) for (const listener of [...this.#invalidators]) listener(keys);
    if (!this.#hearers.has(told.name) && this.#early.length < EARLY) this.#early.push(told);
    for (const name of [told.name, "*"]) for (const hearer of [...(this.#hearers.get(name) ?? [])]) hearer(told);
  }

  /** What the page notices and the Core cannot: being looked at, coming back, somebody at the keys. */
  #watchPage() {
    const wake = () => this.#call("wake");
    // A page that goes becomes hidden after it has said goodbye.
    let gone = false;
    const seen = () => gone || this.#link?.post({ tab: this.tab, visible: isVisible() });
    document.addEventListener("visibilitychange", seen);
    addEventListener("focus", seen);
    addEventListener("online", wake);
    document.addEventListener("resume", wake);
    addEventListener("pagehide", () => {
      gone = true;
      this.#link?.post({ bye: this.tab });
    });
    addEventListener("pageshow", (event) => {
      gone = false;
      if (!event.persisted) return;
      this.#link?.hello?.();
      wake();
    });
    let last = 0;
    const active = () => {
      // Somebody is here and waits: worth a try at once, whatever the wait was to be.
      const waiting = ["connecting", "offline"].includes(this.getSnapshot().status);
      if (Date.now() - last < (waiting ? WAITING_EVERY : ACTIVE_EVERY)) return;
      last = Date.now();
      this.#call("active");
      if (waiting) wake();
    };
    for (const name of ["pointerdown", "pointermove", "keydown", "scroll"])
      addEventListener(name, active, { passive: true, capture: true });
  }
}

/** @param {any} event */
function keysOf({ name, data }) {
  if (name === "reset") return ["*"];
  if (name === "message" || name === "message_state") return ["conversations", `conversation/${data.conversationId}`];
  return data?.invalidates ?? [];
}

/** One stream a browser where that can be had. @param {Options} options */
function best({ url, token, EventSource }) {
  if (!globalThis.document || EventSource) return "tab";
  // Another origin's script cannot be a shared worker here, and a function cannot be sent to one.
  if (globalThis.SharedWorker && !token && !url) return "worker";
  return globalThis.BroadcastChannel && navigator.locks ? "lock" : "tab";
}

/** @type {Map<string, Client>} */
const clients = new Map();

/** The hub that this file came from; "" where that is the page's own origin. */
const home = () => {
  const { origin } = new URL(import.meta.url);
  return !globalThis.location || origin === location.origin ? "" : origin;
};

/** A client of the hub at `url`, or of the one this file came from; the same one for everybody who asks. @param {Options} [options] */
export function connect(options = {}) {
  const url = options.url ?? home();
  if (!clients.has(url)) clients.set(url, new Client({ ...options, url }));
  return clients.get(url);
}
