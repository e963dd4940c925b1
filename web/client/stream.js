/** The stream of events (WHATWG HTML, 9.2), made to come back: EventSource alone gives up after any answer but 200. */

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
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
/** Who is refused again and again asks no more often than this. */
const REFUSED_WAIT = 600_000;
/** A stream that lived so long was a good one: the next fault starts from the shortest wait. */
const PEACE = 30_000;
/** A stream that says nothing for so many heartbeats is dead, whatever the socket thinks. */
const SILENT_BEATS = 2.5;
const FIRST_BEAT = 15_000;
/** The longest `retry:` the hub sends is 60 s; a browser that has not come back by then is helped. */
const LONGEST_RETRY = 90_000;
/** After these there is nothing to come back to. */
const FOR_EVER = ["logout", "revoked"];
/** Where the browser cannot come back by itself (a ticket is for once), we keep to what the hub's `retry:` would say. */
const TOLD = { rotate: [200, 1_000], shutdown: [1_000, 5_000], overloaded: [5_000, 30_000], too_many_streams: [60_000, 60_000] };
/** Who is in a hurry lets an attempt that is under way have so long, ms. */
const FAIR_CHANCE = 5_000;
const CLOSED = 2;

/** @typedef {"connecting" | "live" | "offline"} Status */

/**
 * @typedef {object} Wiring
 * @property {(cursor: string) => any | Promise<any>} open makes an EventSource that reads on from `cursor`
 * @property {boolean} once the address is good for one use, so the browser must not come back to it by itself
 * @property {() => Promise<number>} probe the status a request gets now: 200, 401, 403, 0 for no answer
 * @property {(name: string, data: any, id: string) => void} hear
 * @property {(status: Status) => void} say
 * @property {(reason: string) => void} ended the hub does not want us back
 * @property {{now: () => number, setTimeout: Function, clearTimeout: Function}} clock
 * @property {() => number} random
 */

export class Stream {
  /** @type {any} */
  #source = null;
  #timer;
  #generation = 0;
  #failures = 0;
  #refusals = 0;
  #beat = FIRST_BEAT;
  #heard = 0;
  #liveSince = 0;
  #triedAt = 0;
  #bye = "";
  #live = false;
  #closed = false;
  #names = new Set(EVENTS);

  /** @param {string} cursor where to read on from @param {Wiring} wiring */
  constructor(cursor, wiring) {
    this.cursor = cursor;
    this.wiring = wiring;
    this.#open();
  }

  /** End the stream for good. */
  close() {
    this.#closed = true;
    this.#drop();
  }

  /** Hear one more type of event. @param {string} name */
  also(name) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#listen(name);
  }

  /** The network or the page is back: do not wait, unless the stream is known to be alive. */
  hurry() {
    const now = this.wiring.clock.now();
    const alive = this.#live && now - this.#heard < this.#beat * 1.5;
    if (this.#closed || this.#refusals > 1 || alive || now - this.#triedAt < FAIR_CHANCE) return;
    this.#open();
  }

  async #open() {
    this.#drop();
    const generation = ++this.#generation;
    this.#triedAt = this.wiring.clock.now();
    this.#say();
    this.#after(this.#beat * SILENT_BEATS, () => this.#retry());
    let source;
    try {
      source = await this.wiring.open(this.cursor);
    } catch (error) {
      if (generation === this.#generation) this.#refused(/** @type {any} */ (error).status ?? 0);
      return;
    }
    if (generation !== this.#generation || this.#closed) return source.close();
    this.#source = source;
    for (const name of this.#names) this.#listen(name);
    source.onerror = () => source === this.#source && this.#lost();
  }

  #listen(name) {
    const source = this.#source;
    source?.addEventListener(name, (event) => source === this.#source && this.#hear(name, event));
  }

  #hear(name, event) {
    const data = JSON.parse(event.data);
    if (event.lastEventId) this.cursor = event.lastEventId;
    this.#heard = this.wiring.clock.now();
    if (name === "connection_confirmed") {
      this.#beat = data.heartbeatSeconds * 1_000 || this.#beat;
      this.#liveSince = this.#heard;
      this.#bye = "";
      this.#live = true;
    }
    this.#after(this.#beat * SILENT_BEATS, () => this.#retry());
    this.wiring.hear(name, data, event.lastEventId || "");
    if (name === "connection_confirmed") this.#say();
    if (name === "bye") this.#told(data.reason);
  }

  #told(reason) {
    this.#bye = reason;
    if (!FOR_EVER.includes(reason)) return;
    this.close();
    this.wiring.ended(reason);
  }

  /** At a first fault, and where the hub said when to come back, the browser keeps to `retry:`; then we wait longer. */
  #lost() {
    this.#calm();
    this.#triedAt = 0;
    const bye = this.#bye;
    const first = this.#live || bye;
    this.#live = false;
    this.#bye = "";
    if (this.#source.readyState === CLOSED) return this.#closedByAnswer();
    if (!first) return this.#retry();
    if (this.wiring.once) {
      this.#drop();
      const [least, most] = TOLD[bye] ?? [0, FIRST_WAIT];
      this.#say();
      return this.#after(least + this.wiring.random() * (most - least), () => this.#open());
    }
    this.#say();
    this.#after(LONGEST_RETRY, () => this.#retry());
  }

  async #closedByAnswer() {
    this.#drop();
    const generation = ++this.#generation;
    this.#say();
    const status = await this.wiring.probe();
    if (generation === this.#generation) this.#refused(status);
  }

  #refused(status) {
    if (this.#closed) return;
    if (status === 401 && !this.wiring.once) {
      this.close();
      return this.wiring.ended("unauthenticated");
    }
    if (status === 401 || status === 403) this.#refusals += 1;
    this.#retry();
  }

  /** Open a new one after a wait with full jitter, so that a thousand pages do not come back at once. */
  #retry() {
    if (this.#closed) return;
    this.#calm();
    this.#drop();
    this.#generation += 1;
    const { random } = this.wiring;
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures);
    const wait = this.#refusals > 1 ? REFUSED_WAIT * (0.5 + random() / 2) : random() * longest;
    this.#failures += 1;
    this.#say();
    this.#after(wait, () => this.#open());
  }

  /** What went wrong before a long peace is forgotten. */
  #calm() {
    if (!this.#live || this.wiring.clock.now() - this.#liveSince < PEACE) return;
    this.#failures = 0;
    this.#refusals = 0;
  }

  #drop() {
    this.#triedAt = 0;
    this.#source?.close();
    this.#source = null;
    this.#live = false;
    this.wiring.clock.clearTimeout(this.#timer);
  }

  #say() {
    if (!this.#closed) this.wiring.say(this.#live ? "live" : this.#failures > 1 ? "offline" : "connecting");
  }

  #after(ms, act) {
    this.wiring.clock.clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = this.wiring.clock.setTimeout(act, ms);
  }
}
