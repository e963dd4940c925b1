/** The stream of events (WHATWG HTML, 9.2), made to come back: EventSource alone gives up after any answer but 200. */

const EVENTS = [
  "connection_confirmed", "reset", "heartbeat", "bye", "notification", "notification_state", "announcement",
  "job_created", "job_updated", "job_deleted", "job_accepted", "job_completed", "job_refunded",
];
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
/** A stream that says nothing for so many heartbeats is dead, whatever the socket thinks. */
const SILENT_BEATS = 2.5;
/** The longest `retry:` the hub sends is 60 s; a browser that has not come back by then is helped. */
const LONGEST_RETRY = 90_000;
const FOR_EVER = new Set(["logout", "revoked"]);

/** @typedef {"connecting" | "live" | "offline"} State */

export class Stream {
  /** @type {EventSource | null} */
  #source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #failures = 0;
  #beat = 15_000;
  #heard = 0;
  #told = false;
  #live = false;
  #lifetime = new AbortController();

  /**
   * @param {string} cursor where to read on from
   * @param {{hear: (name: string, data: any) => void, state: (state: State) => void, refused: () => void}} listener
   */
  constructor(cursor, listener) {
    this.#cursor = cursor;
    this.#listener = listener;
    const { signal } = this.#lifetime;
    addEventListener("online", () => this.#live || this.#hurry(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.#hurry(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#isFresh() || this.#hurry(), { signal });
    this.#open();
  }
  #cursor;
  #listener;

  /** End the stream for good. */
  close() {
    this.#lifetime.abort();
    this.#drop();
  }

  #open() {
    this.#drop();
    const source = new EventSource(`/api/realtime/connect?lastEventId=${encodeURIComponent(this.#cursor)}`);
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#hear(name, event));
    source.onerror = () => this.#lost();
    this.#source = source;
    this.#say();
    this.#after(this.#beat * SILENT_BEATS, () => this.#retry());
  }

  /** @param {string} name @param {MessageEvent} event */
  #hear(name, event) {
    const data = JSON.parse(event.data);
    if (event.lastEventId) this.#cursor = event.lastEventId;
    this.#heard = Date.now();
    this.#told = name === "bye";
    if (name === "connection_confirmed") {
      this.#beat = data.heartbeatSeconds * 1_000 || this.#beat;
      this.#failures = 0;
      this.#live = true;
      this.#say();
    }
    this.#after(this.#beat * SILENT_BEATS, () => this.#retry());
    if (name === "bye" && FOR_EVER.has(data.reason)) this.close();
    this.#listener.hear(name, data);
  }

  /** Where the hub said when to come back, and at a first fault, the browser does that; then we wait longer each time. */
  #lost() {
    const refused = this.#source?.readyState === EventSource.CLOSED;
    this.#live = false;
    if (refused) this.#listener.refused();
    if (refused || (this.#failures > 0 && !this.#told)) return this.#retry();
    this.#failures += 1;
    this.#told = false;
    this.#say();
    this.#after(LONGEST_RETRY, () => this.#retry());
  }

  /** Open a new one after a wait with full jitter, so that a thousand pages do not come back at once. */
  #retry() {
    if (this.#lifetime.signal.aborted) return;
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures);
    this.#drop();
    this.#failures += 1;
    this.#say();
    this.#after(Math.random() * longest, () => this.#open());
  }

  #hurry() {
    this.#failures = 0;
    this.#open();
  }

  #drop() {
    this.#source?.close();
    this.#live = false;
    clearTimeout(this.#timer);
  }

  #isFresh() {
    return this.#live && Date.now() - this.#heard < this.#beat * 1.5;
  }

  #say() {
    this.#listener.state(this.#live ? "live" : this.#failures > 1 ? "offline" : "connecting");
  }

  /** @param {number} ms @param {() => void} act */
  #after(ms, act) {
    clearTimeout(this.#timer);
    if (!this.#lifetime.signal.aborted) this.#timer = setTimeout(act, ms);
  }
}
