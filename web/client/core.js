/** Core: one signed-in browser; stream, inbox and outgoing messages. */
// It runs once per browser, in a shared worker or in the leader tab, and never touches the document.
// Its parts depend in one direction: session → stream → pages, outbox, presence → persistence → state.

import { CoreSession } from "./core-session.js";
import { CoreState } from "./core-state.js";
import { CoreStream } from "./core-stream.js";
import { InboxChanges, VERBS } from "./inbox-changes.js";
import { InboxPages } from "./inbox-pages.js";
import { Storage } from "./indexed-db.js";
import { Outbox } from "./outbox.js";
import { Persistence } from "./persistence.js";
import { Presence } from "./presence.js";
import { requester } from "./request.js";

const browserClock = () => ({
  now: () => Date.now(),
  setTimeout: (act, ms) => setTimeout(act, ms),
  clearTimeout: (timer) => clearTimeout(timer),
});

export class Core {
  #state;
  #persistence;
  #pages;
  #presence;
  #stream;
  #session;

  /**
   * @param {{url?: string, token?: () => Promise<string | null>, fetch?: any, EventSource?: any, storage?: any, clock?: any,
   *   random?: () => number}} [options] `url`: the hub's origin if it is not the page's own; `token`: that of a signed-in user then
   */
  constructor(options = {}) {
    const { url = "", token, clock = browserClock(), random = Math.random, storage = new Storage(url) } = options;
    const { EventSource = globalThis.EventSource } = options;
    const request = requester({ url, fetch: options.fetch, token });
    const core = (this.#state = new CoreState(clock));
    const persistence = (this.#persistence = new Persistence(core, storage));
    const onError = (error) => this.#session.listFailed(error);
    const pages = (this.#pages = new InboxPages({ core, persistence, request, onError }));
    const outbox = new Outbox({ core, request, storage, random });
    const presence = (this.#presence = new Presence({ core, persistence, request, random }));
    const onEnded = (reason) => this.#session.end(reason);
    const onOtherUser = () => this.#session.restart();
    const connection = { request, random, url, token, EventSource };
    const stream = (this.#stream = new CoreStream({ core, pages, outbox, presence, ...connection, onEnded, onOtherUser }));
    this.#session = new CoreSession({ core, persistence, pages, outbox, presence, stream, request, random, token });
    const changes = new InboxChanges({ core, pages, request });
    for (const verb of VERBS) this[verb] = (ids) => changes.change(verb, { ids });
    for (const name of ["readAll", "undo", "act"]) this[name] = (...args) => changes[name](...args);
    for (const name of ["send", "resend", "discard"]) this[name] = (message) => outbox[name](message);
  }

  // ---- State and events

  getSnapshot = () => this.#state.getSnapshot();

  /** @param {() => void} listener @returns {() => void} unsubscribes */
  subscribe = (listener) => this.#state.subscribe(listener);

  /** @param {(event: {name: string, data: any, id: string, late: boolean}) => void} listener @returns {() => void} unsubscribes */
  onEvent(listener) {
    return this.#state.onEvent(listener);
  }

  // ---- Session

  /** Continue where this browser stopped. @returns {Promise<void>} */
  start() {
    return this.#session.start();
  }

  /** A page signed in. @param {any} user @returns {Promise<void>} */
  signedIn(user) {
    return this.#session.signedIn(user);
  }

  /** Sign out, in every tab. @returns {Promise<void>} */
  logout() {
    return this.#session.logout();
  }

  /** Stop for good. */
  close() {
    this.#session.close();
  }

  // ---- Stream

  /** A page became visible or the network is back: check whether the stream is alive. */
  wake() {
    if (this.#stream.isOpen) this.#stream.checkNow();
    else this.#session.retryNow();
  }

  /** Receive a type of event that only this application publishes. @param {string} name */
  addEventType(name) {
    this.#stream.addEventType(name);
  }

  /** Record that a page has shown an event. @param {string} id its cursor */
  markShown(id) {
    this.#persistence.markShown(id);
  }

  /** Record that the user produced input. */
  recordActivity() {
    this.#presence.recordActivity();
  }

  // ---- Inbox

  /** Fetch the inbox again. @returns {Promise<void>} */
  refresh() {
    return this.#pages.refresh();
  }

  /** Fetch one more page of a filter. @param {string} [filter] @returns {Promise<void>} */
  more(filter) {
    return this.#pages.more(filter);
  }

  /** Withdraw the offer to undo. */
  forgetUndo() {
    this.#state.set({ undo: null });
  }
}
