/** What stays in this browser over page loads: the inbox and its cursor, in one transaction, and what waits to be sent. */

const NAME = "gigwire";

/** @typedef {{meta: any, items: any[], outbox: any[]}} Kept */

/** @param {IDBRequest} request @returns {Promise<any>} */
const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** IndexedDB; where it is refused (private windows of some browsers) nothing is kept and everything works. */
export class Storage {
  #opened;

  /** @param {string} hub whose data it is @param {IDBFactory} [indexedDB] */
  constructor(hub, indexedDB = globalThis.indexedDB) {
    this.#opened = indexedDB ? open(indexedDB, hub ? `${NAME} ${hub}` : NAME).catch(() => null) : Promise.resolve(null);
  }

  /** @returns {Promise<Kept>} */
  async load() {
    const [meta, items, outbox] = (await this.#run("readonly", (meta, items, outbox) =>
      Promise.all([answer(meta.get("meta")), answer(items.getAll()), answer(outbox.getAll())]),
    )) ?? [null, [], []];
    return { meta: meta ?? null, items, outbox };
  }

  /** Items and cursor change together or not at all. @param {{meta: any, put: any[], remove: string[], clear: boolean}} change */
  save({ meta, put, remove, clear }) {
    return this.#run("readwrite", (metas, items) => {
      if (clear) items.clear();
      for (const id of remove) items.delete(id);
      for (const item of put) items.put(item);
      metas.put(meta, "meta");
    });
  }

  /** @param {any} message */
  keep(message) {
    return this.#run("readwrite", (_meta, _items, outbox) => outbox.put(message));
  }

  /** @param {string} clientMessageId */
  drop(clientMessageId) {
    return this.#run("readwrite", (_meta, _items, outbox) => outbox.delete(clientMessageId));
  }

  /** Somebody else sits here now, or nobody. */
  wipe() {
    return this.#run("readwrite", (...stores) => stores.forEach((store) => store.clear()));
  }

  /** @returns {Promise<any>} what `act` gave, once it is on disk; null where nothing can be kept */
  async #run(mode, act) {
    const database = await this.#opened;
    if (!database) return null;
    const names = ["meta", "items", "outbox"];
    try {
      const transaction = database.transaction(names, mode);
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      const [result] = await Promise.all([act(...names.map((name) => transaction.objectStore(name))), done]);
      return result;
    } catch {
      // A full disk or a database that was deleted under us: go on without.
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
  return answer(request);
}
