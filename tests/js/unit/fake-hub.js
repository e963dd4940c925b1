/** A fake hub: a clock that the test advances, a network with the responses of the test, and an EventSource. */

import { IDBFactory } from "fake-indexeddb";
import { Core } from "../../../web/client/core.js";
import { Storage } from "../../../web/client/indexed-db.js";

/** Wait until all pending microtasks and immediates have run. */
export const settle = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

export class Clock {
  time = 1_000_000;
  timers = new Map();
  #next = 1;
  now = () => this.time;
  setTimeout = (act, ms) => {
    this.timers.set(this.#next, { at: this.time + ms, act });
    return this.#next++;
  };
  clearTimeout = (timer) => this.timers.delete(timer);

  /** Advance by `ms` and run the timers that are due. */
  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].act();
      await settle();
    }
    this.time = end;
    await settle();
  }
}

export class FakeHub {
  clock = new Clock();
  indexedDB = new IDBFactory();
  sources = [];
  requests = [];
  position = 10;
  random = 1;
  rows = [];
  user = { id: "ann", name: "Ann", role: "freelancer", skills: [] };
  responses = {};

  constructor() {
    const hub = this;
    this.EventSource = class {
      readyState = 0;
      handlers = new Map();
      constructor(url) {
        this.url = url;
        this.cursor = new URL(url, "http://hub").searchParams.get("lastEventId");
        hub.sources.push(this);
      }
      addEventListener(name, handler) {
        this.handlers.set(name, handler);
      }
      close() {
        this.readyState = 2;
        this.closed = true;
      }
    };
  }

  get source() {
    return this.sources.at(-1);
  }

  cursor(position = this.position) {
    return `e1.${position}`;
  }

  /** A Core with a page that shows every event; a second one continues from what the first stored. */
  core(options) {
    const core = this.pageless(options);
    core.onEvent(({ id }) => core.markShown(id));
    return core;
  }

  /** A Core without a page. */
  pageless(options = {}) {
    const { clock } = this;
    return new Core({
      clock,
      fetch: this.fetch,
      EventSource: this.EventSource,
      storage: new Storage("", this.indexedDB),
      random: () => this.random,
      ...options,
    });
  }

  async live(core = this.core()) {
    await core.start();
    await settle();
    this.confirm();
    await settle();
    return core;
  }

  confirm(more = {}) {
    const counts = this.counts();
    this.send(
      "connection_confirmed",
      {
        userId: this.user?.id,
        cursor: this.source.cursor,
        recovered: true,
        heartbeatSeconds: 15,
        serverTime: new Date(this.clock.time).toISOString(),
        ...counts,
        ...more,
      },
      this.source.cursor,
    );
  }

  send(name, data, id = "") {
    this.source.handlers.get(name)?.({ data: JSON.stringify(data), lastEventId: id });
  }

  counts() {
    const shown = this.rows.filter((row) => !row.archivedAt);
    return { unread: shown.filter((row) => !row.readAt).length, unseen: shown.filter((row) => !row.seenAt).length };
  }

  row(id, more = {}) {
    return {
      id,
      type: "note",
      category: "system",
      priority: "normal",
      title: `Title ${id}`,
      body: "",
      data: {},
      url: null,
      icon: null,
      actions: [],
      collapseKey: null,
      count: 1,
      createdAt: new Date(this.clock.time).toISOString(),
      expiresAt: null,
      seenAt: null,
      readAt: null,
      archivedAt: null,
      ...more,
    };
  }

  /** Create a notification without sending its event. @returns the data and the cursor of the event */
  notify(id, more) {
    const row = this.row(id, more);
    this.rows.unshift(row);
    this.position += 1;
    return [{ ...row, ...this.counts(), invalidates: [] }, this.cursor()];
  }

  /** Create a notification and send its event. */
  arrive(id, more) {
    const [data, cursor] = this.notify(id, more);
    this.send("notification", data, cursor);
  }

  fetch = async (url, { method, body, headers }) => {
    const path = url.split("?")[0];
    const request = { method, path, url, headers, body: body && JSON.parse(body) };
    this.requests.push(request);
    const response = this.responses[`${method} ${path}`] ?? this.defaults[`${method} ${path}`];
    if (response === "down") throw new TypeError("no network");
    const [status, json] =
      typeof response === "function" ? await response(request) : (response ?? [404, { code: "NOT_FOUND", message: "No." }]);
    return { ok: status < 400, status, text: async () => (json === undefined ? "" : JSON.stringify(json)) };
  };

  defaults = {
    "GET /api/auth/me": () => (this.user ? [200, this.user] : [401, { code: "UNAUTHENTICATED", message: "Sign in." }]),
    "GET /api/notifications": () => [
      200,
      { items: this.rows.filter((row) => !row.archivedAt).slice(0, 30), next: null, ...this.counts(), cursor: this.cursor() },
    ],
    "GET /api/announcements": () => [200, { items: [], next: null }],
    "POST /api/auth/logout": () => [204, null],
  };
}

/** A response that the test releases. */
export function deferred() {
  let release;
  const promise = new Promise((resolve) => (release = resolve));
  return { response: () => promise, release };
}
