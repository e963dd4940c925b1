/** IndexedDB access. */

const NAME = "gigwire";

/** @typedef {{meta: any, items: any[], outbox: any[]}} Stored */

/** @param {IDBRequest} request @returns {Promise<any>} */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Stores the inbox and the outbox. If a browser denies IndexedDB, as in some private windows, nothing is stored. */
export class Storage {
  #database;

  /** @param {string} hub the hub's origin; "" for the page's own @param {IDBFactory} [indexedDB] */
  constructor(hub, indexedDB = globalThis.indexedDB) {
    this.#database = indexedDB ? open(indexedDB, hub ? `${NAME} ${hub}` : NAME).catch(() => null) : Promise.resolve(null);
  }

  /** @returns {Promise<Stored>} */
  async load() {
    const [meta, items, outbox] = (await this.#run("readonly", (meta, items, outbox) =>
      Promise.all([result(meta.get("meta")), result(items.getAll()), result(outbox.getAll())]),
    )) ?? [null, [], []];
    return { meta: meta ?? null, items, outbox };
  }

  /** Write items and cursors in one transaction. @param {{meta: any, put: any[], remove: string[], clear: boolean}} change */
  save({ meta, put, remove, clear }) {
    return this.#run("readwrite", (metas, items) => {
      if (clear) items.clear();
      for (const id of remove) items.delete(id);
      for (const item of put) items.put(item);
      metas.put(meta, "meta");
    });
  }

  /** @param {any} message */
  putMessage(message) {
    return this.#run("readwrite", (_meta, _items, outbox) => outbox.put(message));
  }

  /** @param {string} clientMessageId */
  deleteMessage(clientMessageId) {
    return this.#run("readwrite", (_meta, _items, outbox) => outbox.delete(clientMessageId));
  }

  /** Delete everything. */
  wipe() {
    return this.#run("readwrite", (...stores) => stores.forEach((store) => store.clear()));
  }

  /** @returns {Promise<any>} the result of `act`, once it is on disk; null if nothing can be stored */
  async #run(mode, act) {
    const database = await this.#database;
    if (!database) return null;
    const names = ["meta", "items", "outbox"];
    try {
      const transaction = database.transaction(names, mode);
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      const [value] = await Promise.all([act(...names.map((name) => transaction.objectStore(name))), done]);
      return value;
    } catch {
      // The disk is full or the database was deleted: continue without.
      return null;
    }
  }
}

/** @param {IDBFactory} factory @param {string} name @returns {Promise<IDBDatabase>} */
function open(factory, name) {
  const request = factory.open(name, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("meta");
    request.result.createObjectStore("items", { keyPath: "id" });
    request.result.createObjectStore("outbox", { keyPath: "clientMessageId" });
  };
  return result(request);
}
