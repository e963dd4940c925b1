/** What is fetched of the inbox: its newest page, and further ones of each filter, in step with what the stream tells. */

import { isPast } from "./cursor.js";
import { FILTERS } from "./inbox.js";

function path(filter, after) {
  const { categories } = FILTERS[filter];
  const asked = categories ? `all&category=${categories}` : filter;
  return `/api/notifications?filter=${asked}&limit=30${after ? `&after=${encodeURIComponent(after)}` : ""}`;
}

export class Lists {
  #fetching = null;
  /** What the stream tells while the newest page is on its way. */
  #meanwhile = null;
  /** @type {Record<string, Promise<void> | null>} by filter */
  #asked = {};

  /**
   * @param {{request: Function, inbox: () => import("./inbox.js").Inbox, draw: (patch?: object) => void, kept: (what: object) => void,
   *   apply: (name: string, data: any) => void}} wiring
   */
  constructor(wiring) {
    Object.assign(this, wiring);
  }

  /** @param {string} name @param {any} data @param {string} id its place in the log */
  hear(name, data, id) {
    this.#meanwhile?.push([name, data, id]);
  }

  /** Begin anew with the newest page. @returns {Promise<any>} it; null when somebody else is here by now */
  newest() {
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = this.#meanwhile = null));
    return this.#fetching;
  }

  async #fetch() {
    const into = this.inbox();
    this.draw({ loading: true, error: null });
    this.#meanwhile = [];
    const page = await this.request("GET", path("all"));
    if (into !== this.inbox()) return null;
    into.replace(page);
    // What the list does not have yet.
    for (const [name, data, id] of this.#meanwhile) if (isPast(id, page.cursor)) this.apply(name, data);
    this.#asked = {};
    this.kept({ put: into.items.keys(), clear: true });
    this.draw({ loaded: true, loading: false });
    return page;
  }

  /** One more page of a filter. @param {string} filter @returns {Promise<void>} */
  more(filter) {
    this.#asked[filter] ??= this.#next(filter).finally(() => (this.#asked[filter] = null));
    return this.#asked[filter];
  }

  async #next(filter) {
    const into = this.inbox();
    const { next } = into.pages[filter] ?? {};
    if (next === null) return;
    this.draw({ loading: true, error: null });
    try {
      const page = await this.request("GET", path(filter, next));
      if (into !== this.inbox()) return;
      into.add(filter, page);
      this.kept({ put: page.items.map(({ id }) => id) });
      this.draw({ loading: false });
    } catch (error) {
      this.draw({ loading: false, error: error.message });
      throw error;
    }
  }
}
