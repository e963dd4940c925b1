/** A hub for one test: a clock that only moves when told, a network that answers what the test says, an EventSource. */

import { IDBFactory } from "fake-indexeddb";
import { Core } from "../../../web/client/core.js";
import { Storage } from "../../../web/client/indexed-db.js";

/** Lets everything that is ready to run, run. */
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

  /** Moves on by `ms`, running what is due on the way. */
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
  answers = {};

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

  /** A browser with a page that hears everything, or the same one again after its pages were closed. */
  core(options) {
    const core = this.pageless(options);
    core.onEvent(({ id }) => core.markShown(id));
    return core;
  }

  /** A browser whose pages are elsewhere. */
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

  /** A notification is made on the hub; what it tells. */
  notify(id, more) {
    const row = this.row(id, more);
    this.rows.unshift(row);
    this.position += 1;
    return [{ ...row, ...this.counts(), invalidates: [] }, this.cursor()];
  }

  /** And it is told. */
  arrive(id, more) {
    const [data, cursor] = this.notify(id, more);
    this.send("notification", data, cursor);
  }

  fetch = async (url, { method, body, headers }) => {
    const path = url.split("?")[0];
    const request = { method, path, url, headers, body: body && JSON.parse(body) };
    this.requests.push(request);
    const answer = this.answers[`${method} ${path}`] ?? this.usual[`${method} ${path}`];
    if (answer === "down") throw new TypeError("no network");
    const [status, json] =
      typeof answer === "function" ? await answer(request) : (answer ?? [404, { code: "NOT_FOUND", message: "No." }]);
    return { ok: status < 400, status, text: async () => (json === undefined ? "" : JSON.stringify(json)) };
  };

  usual = {
    "GET /api/auth/me": () => (this.user ? [200, this.user] : [401, { code: "UNAUTHENTICATED", message: "Sign in." }]),
    "GET /api/notifications": () => [
      200,
      { items: this.rows.filter((row) => !row.archivedAt).slice(0, 30), next: null, ...this.counts(), cursor: this.cursor() },
    ],
    "GET /api/announcements": () => [200, { items: [], next: null }],
    "POST /api/auth/logout": () => [204, null],
  };
}

/** An answer that comes when the test says so. */
export function deferred() {
  let release;
  const promise = new Promise((resolve) => (release = resolve));
  return { answer: () => promise, release };
}
