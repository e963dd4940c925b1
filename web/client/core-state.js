/** State of the Core: the snapshot, the inbox, the cursors, and the events that pages subscribe to. */

import { Inbox } from "./inbox.js";
import { Observable } from "./observable.js";

const EMPTY_INBOX = Object.freeze({
  items: [],
  unread: 0,
  unseen: 0,
  pages: {},
  loaded: false,
  loading: false,
  error: null,
  asOf: null,
});
/** The snapshot before anything is known, and on a server. */
export const NOBODY = Object.freeze({
  status: "connecting",
  user: undefined,
  inbox: EMPTY_INBOX,
  announcements: [],
  outbox: [],
  undo: null,
  heartbeat: null,
});

export class CoreState extends Observable {
  #eventListeners = new Set();
  #inboxRendered = true;
  #notifyScheduled = false;
  #serverOffset = 0;
  inbox = new Inbox();
  /** The position up to which the stream was read. */
  cursor = "";
  /** The position up to which the inbox is known; a fetched page may be ahead of the stream. */
  listedAt = "";
  /** Increased when the session starts or ends. Work that began in an earlier generation is discarded. */
  generation = 0;

  /** @param {{now: () => number}} clock milliseconds */
  constructor(clock) {
    super(NOBODY);
    this.clock = clock;
  }

  get isLive() {
    return this.state.status === "live";
  }

  getSnapshot = () => {
    if (!this.#inboxRendered) {
      this.#inboxRendered = true;
      const { inbox } = this.state;
      this.state = { ...this.state, inbox: { ...inbox, ...this.inbox.view(), pages: { ...this.inbox.pages } } };
    }
    return this.state;
  };

  /** Publish that the inbox changed. @param {object} [patch] members of the snapshot's inbox beside items and counts */
  updateInbox(patch = {}) {
    this.#inboxRendered = false;
    this.set({ inbox: { ...this.state.inbox, ...patch } });
  }

  /** Notify once for all changes of the same task. */
  notify() {
    if (this.#notifyScheduled) return;
    this.#notifyScheduled = true;
    queueMicrotask(() => {
      this.#notifyScheduled = false;
      super.notify();
    });
  }

  /** @param {(event: {name: string, data: any, id: string, late: boolean}) => void} listener @returns {() => void} unsubscribes */
  onEvent(listener) {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  /** Pass an event on to the pages. @param {string} name @param {any} data @param {string} [id] cursor @param {boolean} [late] */
  emit(name, data, id = "", late = false) {
    for (const listener of [...this.#eventListeners]) listener({ name, data, id, late });
  }

  /** Set the difference between the hub's clock and ours. @param {string} time the hub's, RFC 3339 */
  setServerTime(time) {
    this.#serverOffset = Date.parse(time) - this.clock.now() || 0;
  }

  /** The hub's time. @returns {number} milliseconds */
  get serverNow() {
    return this.clock.now() + this.#serverOffset;
  }

  /** The hub's time. @returns {string} RFC 3339 */
  get serverTime() {
    return new Date(this.serverNow).toISOString();
  }

  /** Drop everything that belongs to a user. */
  clear() {
    this.inbox = new Inbox();
    this.cursor = this.listedAt = "";
    this.state = { ...NOBODY, status: this.state.status };
    this.updateInbox(EMPTY_INBOX);
  }
}
