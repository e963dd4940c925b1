/** Client library: connects and returns a store with actions. */
// However many tabs are open, a browser has one stream. The library needs no document and renders nothing.

import { Core } from "./core.js";
import { NOBODY } from "./core-state.js";
import { Conversation } from "./conversation.js";
import { LiveQuery } from "./live-query.js";
import { CoreProxy, elect, isVisible } from "./tab-link.js";
import { newKey, requester } from "./request.js";
import { Observable } from "./observable.js";

export { EMPTY_CONVERSATION } from "./conversation.js";
export { NOBODY } from "./core-state.js";
export { FILTERS, listed } from "./inbox.js";
export { UNKNOWN } from "./live-query.js";
export { Problem } from "./request.js";

/** Actions of the Core; each resolves when the hub has responded, and rejects with a Problem. */
const CORE_ACTIONS = ["signedIn", "refresh", "more", "readAll", "undo", "forgetUndo", "act", "resend", "discard"];
/** Actions of the Core on notifications, given by their ids. */
const NOTIFICATION_ACTIONS = ["read", "unread", "seen", "archive", "unarchive"];
/** Events kept for listeners that a page adds later, while it is being built. */
const MAX_EARLY_EVENTS = 100;
const MAX_IDLE = 50;
/** Input is reported to the Core at most this often, ms; more often while there is no stream. */
const ACTIVITY_INTERVAL_MS = 20_000;
const ACTIVITY_INTERVAL_OFFLINE_MS = 1_000;

/** @typedef {import("./client.d.ts").Options} Options */

export class Client extends Observable {
  #listeners = new Map();
  /** Events without a listener; the first listener for their name receives them. */
  #early = [];
  #invalidationListeners = new Set();
  #queries = new Map();
  #conversations = new Map();
  #link;
  #host = null;
  #disconnect = () => {};

  /** @param {Options} [options] */
  constructor(options = {}) {
    super(NOBODY);
    this.options = options;
    this.url = options.url ?? "";
    this.random = options.random ?? Math.random;
    this.tab = newKey();
    this.request = requester({ url: this.url, fetch: options.fetch, token: options.token });
    for (const name of CORE_ACTIONS) this[name] = (...args) => this.#call(name, ...args);
    for (const name of NOTIFICATION_ACTIONS) this[name] = (...ids) => this.#call(name, ids);
    this.#connect(options.sharing ?? bestSharing(options));
    if (globalThis.document) this.#watchPage();
  }

  // ---- The store

  /** Return the current state: the same object as long as nothing changed. */
  getSnapshot = () => {
    const state = this.#link?.getSnapshot();
    // A tab that has just become the leader keeps its state until the stored one is loaded.
    if (state && (state.user !== undefined || this.state === NOBODY)) this.state = state;
    return this.state;
  };

  /** The state on a server, where no user is signed in. */
  getServerSnapshot = () => NOBODY;

  /**
   * Receive each event once: `on("notification", …)`, `on("*", …)` for all of them.
   * @param {string} name @param {(event: {name: string, data: any, id: string, late: boolean, show: boolean}) => void} listener
   * @returns {() => void} unsubscribes
   */
  on(name, listener) {
    if (!this.#listeners.has(name)) {
      this.#listeners.set(name, new Set());
      for (const event of this.#early.filter((each) => each.name === name)) queueMicrotask(() => listener(event));
    }
    this.#listeners.get(name).add(listener);
    if (/^[a-z][a-z0-9_]*$/.test(name)) this.#call("addEventType", name);
    return () => this.#listeners.get(name).delete(listener);
  }

  /**
   * Receive the keys that an event invalidates: "jobs", "job/…"; "*" after a reset.
   * @param {(keys: string[]) => void} listener @returns {() => void} unsubscribes
   */
  onInvalidate(listener) {
    this.#invalidationListeners.add(listener);
    return () => this.#invalidationListeners.delete(listener);
  }

  /**
   * Return a GET that is fetched again when an event invalidates one of its keys.
   * @param {string} path @param {string[]} keys @returns {LiveQuery}
   */
  live(path, keys) {
    return this.#shared(this.#queries, path, () => new LiveQuery(this, path, keys));
  }

  /** Return a conversation with its messages. @param {string} id @returns {Conversation} */
  conversation(id) {
    return this.#shared(this.#conversations, id, () => new Conversation(this, id));
  }

  /** One object per key. Objects without subscribers are dropped when there are many. */
  #shared(objects, key, create) {
    if (objects.size > MAX_IDLE) for (const [each, { idle }] of objects) if (idle) objects.delete(each);
    if (!objects.has(key)) objects.set(key, create());
    return objects.get(key);
  }

  // ---- Actions, beside those of the Core

  /** Sign out, in every tab. */
  logout = () => {
    this.leaving = true;
    return this.#call("logout").finally(() => (this.leaving = false));
  };
  /** Send a message as soon as the hub can be reached. @param {any} message @returns {Promise<string>} its clientMessageId */
  sendMessage = (message) => this.#call("send", { clientMessageId: newKey(), ...message });
  /** @param {string} conversationId @param {boolean} typing */
  typing = (conversationId, typing) =>
    this.request("POST", "/api/realtime/messages/typing", { conversationId, typing }).catch(() => {});

  /** Disconnect this tab; the stream is closed with the last tab. */
  close() {
    this.#disconnect();
    this.#link = null;
  }

  // ---- Connection to the Core

  #connect(sharing) {
    const listener = { onChange: () => this.notify(), onEvent: (event) => this.#receive(event) };
    if (sharing === "worker") return this.#useWorker(listener);
    if (sharing === "lock") return this.#useLock(listener);
    const core = new Core(this.options);
    this.#use(core, listener);
    core.start();
    this.#disconnect = () => core.close();
  }

  #useWorker(listener) {
    const worker = new SharedWorker(this.options.worker ?? new URL("./worker.js", import.meta.url), {
      type: "module",
      name: "gigwire",
    });
    // The browser has no shared workers of modules, or its policy forbids them.
    worker.onerror = () => this.#link?.getSnapshot() || this.#useLock(listener);
    const { port } = worker;
    const proxy = new CoreProxy(this.tab, (message) => port.postMessage(message), listener);
    port.onmessage = ({ data }) => proxy.receive(data);
    this.#link = proxy;
    this.#disconnect = () => port.postMessage({ leave: this.tab });
  }

  #useLock(listener) {
    this.#disconnect = elect({
      name: `gigwire ${this.url}`,
      tab: this.tab,
      listener,
      follow: (proxy) => (this.#link = proxy),
      lead: (proxy) => {
        const core = new Core(this.options);
        const stop = this.#use(core, listener);
        core.start();
        for (const { message, resolve, reject } of proxy.takePendingCalls())
          this.#link.call(message.call, message.args).then(resolve, reject);
        // The leader is a tab of its own host, too.
        const onHost = (host) => {
          this.#host = host;
          this.#link.post = (message) => host.receive(message, () => {});
          this.#link.post({ join: this.tab, visible: isVisible() });
        };
        return { core, onHost, stop: () => (stop(), core.close(), (this.#host = null)) };
      },
    });
  }

  #use(core, listener) {
    const subscriptions = [
      core.subscribe(listener.onChange),
      core.onEvent((event) => {
        listener.onEvent({ ...event, frontTab: this.#host ? this.#host.frontTab() : this.tab });
        core.markShown(event.id);
      }),
    ];
    this.#link = {
      getSnapshot: () => core.getSnapshot(),
      call: async (name, args) => core[name](...args),
      post: (message) => message.visible && core.wake(),
    };
    return () => subscriptions.forEach((unsubscribe) => unsubscribe());
  }

  #call(name, ...args) {
    return this.#link ? this.#link.call(name, args) : Promise.resolve();
  }

  #receive({ frontTab, ...rest }) {
    const event = { ...rest, show: isVisible() || frontTab === this.tab };
    const keys = invalidatedKeys(event);
    if (keys.length) for (const listener of [...this.#invalidationListeners]) listener(keys);
    if (!this.#listeners.has(event.name) && this.#early.length < MAX_EARLY_EVENTS) this.#early.push(event);
    for (const name of [event.name, "*"]) for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(event);
  }

  /** Pass on what only a document notices: visibility, input, and the page being hidden or restored. */
  #watchPage() {
    const wake = () => this.#call("wake");
    // A page that is unloaded becomes hidden after it has left.
    let left = false;
    const postVisibility = () => left || this.#link?.post({ tab: this.tab, visible: isVisible() });
    document.addEventListener("visibilitychange", postVisibility);
    addEventListener("focus", postVisibility);
    addEventListener("online", wake);
    document.addEventListener("resume", wake);
    addEventListener("pagehide", () => {
      left = true;
      this.#link?.post({ leave: this.tab });
    });
    addEventListener("pageshow", (event) => {
      left = false;
      if (!event.persisted) return;
      this.#link?.join?.();
      wake();
    });
    let reportedAt = 0;
    const onInput = () => {
      // The user is waiting: reconnect at once, whatever the backoff is.
      const waiting = ["connecting", "offline"].includes(this.getSnapshot().status);
      if (Date.now() - reportedAt < (waiting ? ACTIVITY_INTERVAL_OFFLINE_MS : ACTIVITY_INTERVAL_MS)) return;
      reportedAt = Date.now();
      this.#call("recordActivity");
      if (waiting) wake();
    };
    for (const name of ["pointerdown", "pointermove", "keydown", "scroll"])
      addEventListener(name, onInput, { passive: true, capture: true });
  }
}

/** @param {any} event @returns {string[]} */
function invalidatedKeys({ name, data }) {
  if (name === "reset") return ["*"];
  if (name === "message" || name === "message_state") return ["conversations", `conversation/${data.conversationId}`];
  return data?.invalidates ?? [];
}

/** Choose how tabs share one stream, as far as the browser allows. @param {Options} options */
function bestSharing({ url, token, EventSource }) {
  if (!globalThis.document || EventSource) return "tab";
  // A shared worker must be of the page's origin, and a token function cannot be posted to one.
  if (globalThis.SharedWorker && !token && !url) return "worker";
  return globalThis.BroadcastChannel && navigator.locks ? "lock" : "tab";
}

/** @type {Map<string, Client>} */
const clients = new Map();

/** The origin that this file was loaded from; "" if it is the page's own. */
const ownHub = () => {
  const { origin } = new URL(import.meta.url);
  return !globalThis.location || origin === location.origin ? "" : origin;
};

/** Return the client of the hub at `url`, or of the hub that served this file. @param {Options} [options] @returns {Client} the same one for the same hub */
export function connect(options = {}) {
  const url = options.url ?? ownHub();
  if (!clients.has(url)) clients.set(url, new Client({ ...options, url }));
  return clients.get(url);
}
