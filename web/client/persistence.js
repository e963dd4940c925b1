/** What this browser keeps on its disk: notes what has changed, and writes it, one change after the other. */

import { isPast } from "./cursor.js";

export class Keeper {
  /** How far some page has heard the stream, and how far that is on the disk. What no page heard is not kept as told. */
  place = "";
  stored = "";
  #put = new Set();
  #remove = new Set();
  #clear = false;
  #dirty = false;
  #writing = null;

  /**
   * @param {{storage: any, items: () => Map<string, any>, meta: () => any}} wiring `meta` is what is kept beside the items,
   *   null while nobody is here
   */
  constructor(wiring) {
    this.wiring = wiring;
  }

  /** @param {{put?: Iterable<string>, remove?: Iterable<string>, clear?: boolean}} [what] ids; `clear`: nothing else is kept */
  note({ put = [], remove = [], clear = false } = {}) {
    if (clear) this.#begin(true);
    for (const id of put) this.#put.add(id);
    for (const id of remove) this.#remove.add(id);
    this.#dirty = true;
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** A page has shown this event; a page that is leaving hears nothing. @param {string} id its place in the log */
  heard(id) {
    if (!id || !isPast(id, this.place)) return;
    this.place = id;
    this.note();
  }

  /** Somebody else is here now, or nobody. */
  async forget() {
    this.place = this.stored = "";
    this.#begin(false);
    await this.#writing;
    await this.wiring.storage.wipe();
  }

  #begin(clear) {
    this.#put.clear();
    this.#remove.clear();
    this.#dirty = this.#clear = clear;
  }

  async #write() {
    const { storage, items, meta } = this.wiring;
    await null;
    while (this.#dirty && meta()) {
      const put = [...this.#put].flatMap((id) => items().get(id) ?? []);
      const change = { meta: meta(), put, remove: [...this.#remove], clear: this.#clear };
      this.#begin(false);
      await storage.save(change);
      this.stored = change.meta.cursor;
    }
  }
}
