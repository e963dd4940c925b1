/** Fetches inbox pages in step with the stream and applies the stream's events to the inbox. */

import { isPast } from "./cursor.js";
import { FILTERS } from "./inbox.js";

/** With more items than this in memory, an arriving notification makes the inbox be fetched again: pages stay open for weeks. */
const MAX_ITEMS = 1_000;
const MAX_ANNOUNCEMENTS = 50;

function path(filter, after) {
  const { categories } = FILTERS[filter];
  const query = categories ? `all&category=${categories}` : filter;
  return `/api/notifications?filter=${query}&limit=30${after ? `&after=${encodeURIComponent(after)}` : ""}`;
}

export class InboxPages {
  #core;
  #persistence;
  #request;
  #onError;
  #newest = null;
  /** Events that arrive while the newest page is being fetched. */
  #buffered = null;
  /** @type {Record<string, Promise<void> | null>} requests for further pages, by filter */
  #further = {};

  /**
   * @param {{core: import("./core-state.js").CoreState, persistence: import("./persistence.js").Persistence, request: Function,
   *   onError: (error: any) => any}} options `onError` is called when the newest page could not be fetched
   */
  constructor({ core, persistence, request, onError }) {
    this.#core = core;
    this.#persistence = persistence;
    this.#request = request;
    this.#onError = onError;
  }

  /** Ignore requests that are under way. */
  clear() {
    this.#newest = this.#buffered = null;
    this.#further = {};
  }

  /** Apply an event of the stream. @param {string} name @param {any} data @param {string} id its cursor */
  receive(name, data, id) {
    // A page that was fetched ahead of the stream contains the event already.
    if (isPast(id, this.#core.listedAt)) this.#apply(name, data);
    this.#buffered?.push([name, data, id]);
  }

  #apply(name, data) {
    const { inbox } = this.#core;
    if (name === "notification") {
      this.record({ touched: [inbox.arrive(data).id], incomplete: inbox.items.size > MAX_ITEMS });
    } else if (name === "notification_state") {
      this.record(inbox.apply({ ...data, at: this.#core.serverTime }));
    } else if (name === "announcement") {
      const others = this.#core.state.announcements.filter(({ id }) => id !== data.id);
      this.#core.set({ announcements: [data, ...others].slice(0, MAX_ANNOUNCEMENTS) });
    }
  }

  /** Publish and store a change of the inbox. @param {{touched: string[], removed?: string[], incomplete: boolean}} result */
  record({ touched, removed, incomplete }) {
    this.#persistence.save({ put: touched, remove: removed });
    this.#core.updateInbox();
    if (incomplete) this.refresh();
  }

  /** Fetch the newest page again, while the stream goes on. @returns {Promise<void>} */
  async refresh() {
    const core = this.#core;
    const { generation } = core;
    try {
      this.#newest ??= this.#fetchNewest();
      const page = await this.#newest;
      if (!page || generation !== core.generation) return;
      core.listedAt = page.cursor;
      core.cursor ||= page.cursor;
      this.#persistence.shownCursor ||= page.cursor;
      this.#persistence.save();
      core.emit("snapshot", { cursor: page.cursor });
    } catch (error) {
      if (generation === core.generation) await this.#onError(error);
    }
  }

  /** @returns {Promise<any>} the page; null if the user changed meanwhile */
  async #fetchNewest() {
    const { inbox } = this.#core;
    const buffered = [];
    try {
      this.#core.updateInbox({ loading: true, error: null });
      this.#buffered = buffered;
      const page = await this.#request("GET", path("all"));
      if (inbox !== this.#core.inbox) return null;
      inbox.replace(page);
      for (const [name, data, id] of buffered) if (isPast(id, page.cursor)) this.#apply(name, data);
      this.#further = {};
      this.#persistence.save({ put: inbox.items.keys(), clear: true });
      this.#core.updateInbox({ loaded: true, loading: false });
      return page;
    } finally {
      if (this.#buffered === buffered) this.#newest = this.#buffered = null;
    }
  }

  /** Fetch one more page of a filter. @param {string} [filter] @returns {Promise<void>} */
  more(filter = "all") {
    this.#further[filter] ??= this.#fetchFurther(filter).finally(() => (this.#further[filter] = null));
    return this.#further[filter];
  }

  async #fetchFurther(filter) {
    const { inbox } = this.#core;
    const { next } = inbox.pages[filter] ?? {};
    if (next === null) return;
    this.#core.updateInbox({ loading: true, error: null });
    try {
      const page = await this.#request("GET", path(filter, next));
      if (inbox !== this.#core.inbox) return;
      inbox.add(filter, page);
      this.#persistence.save({ put: page.items.map(({ id }) => id) });
      this.#core.updateInbox({ loading: false });
    } catch (error) {
      this.#core.updateInbox({ loading: false, error: error.message });
      throw error;
    }
  }

  async loadAnnouncements() {
    const { generation } = this.#core;
    const page = await this.#request("GET", "/api/announcements").catch(() => null);
    if (page && generation === this.#core.generation) this.#core.set({ announcements: page.items });
  }
}
