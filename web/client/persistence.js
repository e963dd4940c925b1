/** Writes inbox and cursors to IndexedDB, one change at a time. */

import { isPast } from "./cursor.js";

export class Persistence {
  /** The position up to which a page has shown the stream. An event that no page showed is read again after a restart. */
  shownCursor = "";
  /** The position that is on disk. */
  storedCursor = "";
  #core;
  #storage;
  #put = new Set();
  #remove = new Set();
  #clear = false;
  #dirty = false;
  #writing = null;

  /** @param {import("./core-state.js").CoreState} core @param {any} storage see indexed-db.js */
  constructor(core, storage) {
    this.#core = core;
    this.#storage = storage;
  }

  /** @returns {Promise<import("./indexed-db.js").Stored>} */
  load() {
    return this.#storage.load();
  }

  /** Continue from what was loaded. @param {string} cursor */
  restore(cursor) {
    this.shownCursor = this.storedCursor = cursor;
  }

  /** Write the state soon. @param {{put?: Iterable<string>, remove?: Iterable<string>, clear?: boolean}} [change] ids of items; `clear` deletes all others */
  save({ put = [], remove = [], clear = false } = {}) {
    if (clear) this.#startChange(true);
    for (const id of put) this.#put.add(id);
    for (const id of remove) this.#remove.add(id);
    this.#dirty = true;
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** Record that a page has shown an event. @param {string} id its cursor */
  markShown(id) {
    if (!id || !isPast(id, this.shownCursor)) return;
    this.shownCursor = id;
    this.save();
  }

  /** Delete everything on disk. */
  async wipe() {
    this.shownCursor = this.storedCursor = "";
    this.#startChange(false);
    await this.#writing;
    await this.#storage.wipe();
  }

  #startChange(clear) {
    this.#put.clear();
    this.#remove.clear();
    this.#dirty = this.#clear = clear;
  }

  async #write() {
    // Changes of the same task are written together.
    await null;
    let meta;
    while (this.#dirty && (meta = this.#meta())) {
      const { items } = this.#core.inbox;
      const put = [...this.#put].flatMap((id) => items.get(id) ?? []);
      const change = { meta, put, remove: [...this.#remove], clear: this.#clear };
      this.#startChange(false);
      await this.#storage.save(change);
      this.storedCursor = meta.cursor;
    }
  }

  /** What is stored beside the items; null without a user. */
  #meta() {
    const { cursor, listedAt: listed, inbox, clock, state } = this.#core;
    const { user, announcements } = state;
    const listedAt = listed && isPast(cursor, listed) ? cursor : listed;
    return user && { user, announcements, cursor: listed && this.shownCursor, listedAt, at: clock.now(), ...inbox.summary };
  }
}
