/** Opens the stream of the Core and applies its events to state, inbox, outbox and presence. */

import { isPast } from "./cursor.js";
import { Stream } from "./stream.js";

/** Events older than this when they arrive were missed, ms. They are summed up instead of shown one by one. */
const LATE_MS = 60_000;
const SUMMARY_DELAY_MS = 300;
const RECOUNT_DELAY_MS = 250;
/** Events that are not in the event log. */
const EPHEMERAL = ["reset", "heartbeat", "bye", "typing", "presence"];

export class CoreStream {
  /** @type {Stream | null} */
  #stream = null;
  #eventTypes = new Set();
  #lateEvents = 0;
  #lateTimer;

  /**
   * @param {{core: import("./core-state.js").CoreState, pages: import("./inbox-pages.js").InboxPages,
   *   outbox: import("./outbox.js").Outbox, presence: import("./presence.js").Presence, request: Function, random: () => number,
   *   url: string, token?: () => Promise<string | null>, EventSource: any, onEnded: (reason: string) => void,
   *   onOtherUser: () => void}} options `onEnded`: the hub does not accept this session any more; `onOtherUser`: the stream is
   *   that of another user
   */
  constructor(options) {
    Object.assign(this, options);
  }

  get isOpen() {
    return this.#stream !== null;
  }

  /** Open the stream, or open it again. @param {string} cursor where to continue */
  open(cursor) {
    this.#stream?.close();
    const { core, request, random } = this;
    const { generation } = core;
    const current =
      (act) =>
      (...args) =>
        generation === core.generation && act(...args);
    this.#stream = new Stream(cursor, {
      open: (at) => this.#eventSource(at),
      singleUse: Boolean(this.token),
      probe: () =>
        request("GET", "/api/auth/me").then(
          () => 200,
          (error) => error.status,
        ),
      onEvent: current((name, data, id) => this.#receive(name, data, id)),
      onStatus: current((status) => this.#setStatus(status)),
      onEnded: current((reason) => this.onEnded(reason)),
      clock: core.clock,
      random,
    });
    for (const name of this.#eventTypes) this.#stream.addEventType(name);
  }

  close() {
    this.#stream?.close();
    this.#stream = null;
    this.core.clock.clearTimeout(this.#lateTimer);
    this.#lateEvents = 0;
  }

  /** Reconnect now unless the stream is known to be alive. */
  checkNow() {
    this.#stream?.checkNow();
  }

  /** Receive a type of event that only this application publishes. @param {string} name */
  addEventType(name) {
    this.#eventTypes.add(name);
    this.#stream?.addEventType(name);
  }

  async #eventSource(cursor) {
    const query = new URLSearchParams({ lastEventId: cursor });
    if (this.token) query.set("ticket", (await this.request("POST", "/api/realtime/tickets")).ticket);
    return new this.EventSource(`${this.url}/api/realtime/connect?${query}`);
  }

  #setStatus(status) {
    if (status === this.core.state.status) return;
    this.core.set({ status });
    this.core.emit("status", { status });
    if (status === "live") this.outbox.flush();
  }

  #receive(name, data, id) {
    const { core } = this;
    if (name === "connection_confirmed") return this.#confirmed(data);
    if (name === "reset") this.#reset();
    if (EPHEMERAL.includes(name)) {
      if (name === "heartbeat") core.set({ heartbeat: core.clock.now() });
      this.#advance(id);
      return core.emit(name, data, id);
    }
    // The hub may send an event twice; it is applied once.
    if (!isPast(id, core.cursor)) return;
    const late = core.serverNow - Date.parse(data.createdAt ?? "") > LATE_MS;
    this.pages.receive(name, data, id);
    this.#advance(id);
    core.emit(name, data, id, late);
    if (late && name === "notification") this.#countLate();
    if (name === "notification" || name === "message") this.presence.reportSoon();
  }

  #advance(id) {
    if (id && isPast(id, this.core.cursor)) this.core.cursor = id;
  }

  #confirmed(data) {
    const { core } = this;
    // Another user signed in with this browser while the stream was closed.
    if (core.state.user && data.userId && data.userId !== core.state.user.id) return this.onOtherUser();
    core.setServerTime(data.serverTime);
    core.set({ heartbeat: core.clock.now() });
    core.emit("connection_confirmed", data);
    if (!core.inbox.pending.size && data.cursor === core.cursor && data.recovered !== false) this.#compareCounts(data);
  }

  /** Fetch the inbox again if its counts differ from the hub's at the same position: then an event was missed. */
  #compareCounts({ unread, unseen }) {
    const { core } = this;
    const { cursor } = core;
    if (unread === core.inbox.unread && unseen === core.inbox.unseen) return;
    core.clock.setTimeout(() => cursor === core.cursor && !core.inbox.pending.size && this.pages.refresh(), RECOUNT_DELAY_MS);
  }

  async #reset() {
    // Until the inbox is fetched, a restart of this browser must not continue from what is stored.
    this.core.listedAt = "";
    await this.pages.refresh();
    this.pages.loadAnnouncements();
  }

  #countLate() {
    const { core } = this;
    this.#lateEvents += 1;
    core.clock.clearTimeout(this.#lateTimer);
    this.#lateTimer = core.clock.setTimeout(() => {
      core.emit("absence", { count: this.#lateEvents });
      this.#lateEvents = 0;
    }, SUMMARY_DELAY_MS);
  }
}
