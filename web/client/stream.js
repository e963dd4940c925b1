/** EventSource (WHATWG HTML, 9.2) with reconnection, backoff and liveness checks. */
// EventSource alone does not reconnect after a response other than 200.

export const EVENTS = [
  "connection_confirmed",
  "reset",
  "heartbeat",
  "bye",
  "notification",
  "notification_state",
  "message",
  "message_state",
  "typing",
  "presence",
  "announcement",
  "job_created",
  "job_updated",
  "job_deleted",
  "job_accepted",
  "job_completed",
  "job_refunded",
];
const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 30_000;
/** The wait after repeated rejections. */
const REJECTED_WAIT_MS = 600_000;
/** A stream that was live for this long resets the backoff. */
const STABLE_MS = 30_000;
/** A stream without data for this many heartbeat intervals is considered dead. */
const MAX_SILENT_HEARTBEATS = 2.5;
const DEFAULT_HEARTBEAT_MS = 15_000;
/** The longest `retry:` of the hub is 60 s; if the browser has not reconnected by then, we do. */
const MAX_BROWSER_RETRY_MS = 90_000;
/** Reasons of `bye` after which the stream is not opened again. */
const FINAL_REASONS = ["logout", "revoked"];
/** Waits by the reason of `bye`, least and most, as the hub's `retry:` gives them. A ticket is valid once, so that the browser cannot reconnect. */
const BYE_WAITS_MS = { rotate: [200, 1_000], shutdown: [1_000, 5_000], overloaded: [5_000, 30_000], too_many_streams: [60_000, 60_000] };
/** An attempt to connect is not replaced before it is this old, ms. */
const ATTEMPT_MS = 5_000;
const CLOSED = 2;

/** @typedef {"connecting" | "live" | "offline"} Status */

/**
 * @typedef {object} StreamOptions
 * @property {(cursor: string) => any | Promise<any>} open creates an EventSource that continues from `cursor`
 * @property {boolean} singleUse the address is valid once, so that the browser must not reconnect to it
 * @property {() => Promise<number>} probe the status of a request now: 200, 401, 403; 0 without a response
 * @property {(name: string, data: any, id: string) => void} onEvent
 * @property {(status: Status) => void} onStatus
 * @property {(reason: string) => void} onEnded the stream must not be opened again
 * @property {{now: () => number, setTimeout: Function, clearTimeout: Function}} clock
 * @property {() => number} random
 */

export class Stream {
  /** @type {any} */
  #source = null;
  #timer;
  #generation = 0;
  #failures = 0;
  #rejections = 0;
  #heartbeatMs = DEFAULT_HEARTBEAT_MS;
  #receivedAt = 0;
  #liveSince = 0;
  #attemptedAt = 0;
  #bye = "";
  #live = false;
  #closed = false;
  #names = new Set(EVENTS);

  /** @param {string} cursor where to continue @param {StreamOptions} options */
  constructor(cursor, options) {
    this.cursor = cursor;
    this.options = options;
    this.#open();
  }

  /** End the stream for good. */
  close() {
    this.#closed = true;
    this.#drop();
  }

  /** Receive one more type of event. @param {string} name */
  addEventType(name) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#listen(name);
  }

  /** Reconnect now, unless the stream is known to be alive or an attempt is under way. */
  checkNow() {
    const now = this.options.clock.now();
    const alive = this.#live && now - this.#receivedAt < this.#heartbeatMs * 1.5;
    if (this.#closed || this.#rejections > 1 || alive || now - this.#attemptedAt < ATTEMPT_MS) return;
    this.#open();
  }

  async #open() {
    this.#drop();
    const generation = ++this.#generation;
    this.#attemptedAt = this.options.clock.now();
    this.#report();
    this.#after(this.#heartbeatMs * MAX_SILENT_HEARTBEATS, () => this.#retry());
    let source;
    try {
      source = await this.options.open(this.cursor);
    } catch (error) {
      if (generation === this.#generation) this.#rejected(/** @type {any} */ (error).status ?? 0);
      return;
    }
    if (generation !== this.#generation || this.#closed) return source.close();
    this.#source = source;
    for (const name of this.#names) this.#listen(name);
    source.onerror = () => source === this.#source && this.#disconnected();
  }

  #listen(name) {
    const source = this.#source;
    source?.addEventListener(name, (event) => source === this.#source && this.#receive(name, event));
  }

  #receive(name, event) {
    const data = JSON.parse(event.data);
    if (event.lastEventId) this.cursor = event.lastEventId;
    this.#receivedAt = this.options.clock.now();
    if (name === "connection_confirmed") {
      this.#heartbeatMs = data.heartbeatSeconds * 1_000 || this.#heartbeatMs;
      this.#liveSince = this.#receivedAt;
      this.#bye = "";
      this.#live = true;
    }
    this.#after(this.#heartbeatMs * MAX_SILENT_HEARTBEATS, () => this.#retry());
    this.options.onEvent(name, data, event.lastEventId || "");
    if (name === "connection_confirmed") this.#report();
    if (name === "bye") this.#onBye(data.reason);
  }

  #onBye(reason) {
    this.#bye = reason;
    if (!FINAL_REASONS.includes(reason)) return;
    this.close();
    this.options.onEnded(reason);
  }

  /** After a first fault, and after `bye`, the browser reconnects after the time in `retry:`; after further faults we wait longer. */
  #disconnected() {
    this.#resetBackoff();
    this.#attemptedAt = 0;
    const bye = this.#bye;
    const first = this.#live || bye;
    this.#live = false;
    this.#bye = "";
    if (this.#source.readyState === CLOSED) return this.#closedByResponse();
    if (!first) return this.#retry();
    if (this.options.singleUse) {
      this.#drop();
      const [least, most] = BYE_WAITS_MS[bye] ?? [0, MIN_WAIT_MS];
      this.#report();
      return this.#after(least + this.options.random() * (most - least), () => this.#open());
    }
    this.#report();
    this.#after(MAX_BROWSER_RETRY_MS, () => this.#retry());
  }

  async #closedByResponse() {
    this.#drop();
    const generation = ++this.#generation;
    this.#report();
    const status = await this.options.probe();
    if (generation === this.#generation) this.#rejected(status);
  }

  #rejected(status) {
    if (this.#closed) return;
    if (status === 401 && !this.options.singleUse) {
      this.close();
      return this.options.onEnded("unauthenticated");
    }
    if (status === 401 || status === 403) this.#rejections += 1;
    this.#retry();
  }

  /** Reconnect after a wait with full jitter, so that many pages do not reconnect at once. */
  #retry() {
    if (this.#closed) return;
    this.#resetBackoff();
    this.#drop();
    this.#generation += 1;
    const { random } = this.options;
    const longest = Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** this.#failures);
    const wait = this.#rejections > 1 ? REJECTED_WAIT_MS * (0.5 + random() / 2) : random() * longest;
    this.#failures += 1;
    this.#report();
    this.#after(wait, () => this.#open());
  }

  /** Forget earlier failures if the stream was live for long. */
  #resetBackoff() {
    if (!this.#live || this.options.clock.now() - this.#liveSince < STABLE_MS) return;
    this.#failures = 0;
    this.#rejections = 0;
  }

  #drop() {
    this.#attemptedAt = 0;
    this.#source?.close();
    this.#source = null;
    this.#live = false;
    this.options.clock.clearTimeout(this.#timer);
  }

  #report() {
    if (!this.#closed) this.options.onStatus(this.#live ? "live" : this.#failures > 1 ? "offline" : "connecting");
  }

  #after(ms, act) {
    this.options.clock.clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = this.options.clock.setTimeout(act, ms);
  }
}
