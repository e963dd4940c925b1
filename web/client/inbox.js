/** The inbox state: server items plus pending changes. */

/** The filters of the notification center, and the categories that each requests. */
export const FILTERS = {
  all: {},
  unread: {},
  jobs: { categories: ["job", "bid", "hire", "comment", "payment"] },
  messages: { categories: ["message"] },
  archived: {},
};

const isCounted = (item) => !item.archivedAt;
const isUnread = (item) => isCounted(item) && !item.readAt;
const isUnseen = (item) => isCounted(item) && !item.seenAt;

/** Update the counts for an item that is replaced. */
function count(counts, item, next) {
  counts.unread += isUnread(next) - isUnread(item);
  counts.unseen += isUnseen(next) - isUnseen(item);
}

/** Each change of an item. A change that has no effect returns the same object. */
const CHANGES = {
  read: (item, at) => (item.readAt ? item : { ...item, readAt: at, seenAt: item.seenAt ?? at }),
  unread: (item) => (item.readAt ? { ...item, readAt: null } : item),
  seen: (item, at) => (item.seenAt ? item : { ...item, seenAt: at }),
  archived: (item, at) => (item.archivedAt ? item : { ...item, archivedAt: at }),
  unarchived: (item) => (item.archivedAt ? { ...item, archivedAt: null } : item),
  action: (item, at, change) => ({
    ...item,
    actions: item.actions.map((action) => (action.id === change.action ? { ...action, done: true } : action)),
  }),
};

/** @typedef {{state: string, ids?: string[], all?: boolean, before?: string, action?: string, seen?: boolean, unsee?: string[], at: string}} Change */

/** @param {any} item @param {Change} change */
function changed(item, change) {
  const matches = change.all ? item.id <= change.before && isCounted(item) : change.ids.includes(item.id);
  if (!matches || !CHANGES[change.state]) return item;
  const next = CHANGES[change.state](item, change.at, change);
  const unsee = change.seen === false || change.unsee?.includes(item.id);
  return change.state === "unread" && unsee && next.seenAt ? { ...next, seenAt: null } : next;
}

export class Inbox {
  /** @type {Map<string, any>} items as the hub has them, by id */
  items = new Map();
  unread = 0;
  unseen = 0;
  /** @type {Record<string, {next: string | null, floor: string}>} by filter: the next page token, and the lowest id that was fetched */
  pages = {};
  /** @type {Set<Change>} changes whose request is under way */
  pending = new Set();

  /** What is stored beside the items. */
  get summary() {
    return { unread: this.unread, unseen: this.unseen, pages: this.pages };
  }

  /** Replace everything by the newest page. @param {any} page */
  replace(page) {
    this.items = new Map();
    this.pages = {};
    this.add("all", page);
    this.unread = page.unread;
    this.unseen = page.unseen;
  }

  /** Add one more page of a filter. Items that are known already are newer than the page. @param {string} filter @param {any} page */
  add(filter, page) {
    for (const item of page.items) if (!this.items.has(item.id)) this.items.set(item.id, item);
    this.pages[filter] = { next: page.next, floor: page.next === null ? "" : (page.items.at(-1)?.id ?? "") };
  }

  /** Apply a `notification` event. @param {any} event @returns {any} the item */
  arrive({ unread, unseen, invalidates, ...item }) {
    this.items.set(item.id, item);
    this.#count({ unread, unseen });
    return item;
  }

  /**
   * Apply a `notification_state` event, or a change that the hub has confirmed.
   * @param {Change & {unread?: number, unseen?: number}} change
   * @returns {{touched: string[], removed: string[], incomplete: boolean}} ids; `incomplete`: it concerns items that are not known
   */
  apply(change) {
    const touched = [];
    const removed = [];
    for (const [id, item] of this.items) {
      if (change.state === "retracted" && change.ids?.includes(id)) {
        this.items.delete(id);
        removed.push(id);
        continue;
      }
      const next = changed(item, change);
      if (next === item) continue;
      if (change.unread === undefined) count(this, item, next);
      this.items.set(id, next);
      touched.push(id);
    }
    this.#count(change);
    const isRestored = change.state === "unarchived" && (change.all || change.ids?.some((id) => !this.items.has(id)));
    return { touched, removed, incomplete: Boolean(isRestored) };
  }

  /** Apply a pending change that took effect on the hub; its event may arrive before or after. @param {Change} change */
  settle(change) {
    const { unread, unseen } = this.view();
    this.pending.delete(change);
    const result = this.apply(change);
    // The view has counted items that are not loaded as read, too.
    if (change.all) this.#count({ unread, unseen });
    return result;
  }

  #count({ unread, unseen }) {
    this.unread = unread ?? this.unread;
    this.unseen = unseen ?? this.unseen;
  }

  /** Return the items with pending changes applied, newest first, and their counts. */
  view() {
    const pending = [...this.pending];
    const counts = { unread: this.unread, unseen: this.unseen };
    const items = [...this.items.values()]
      .sort((a, b) => (a.id < b.id ? 1 : -1))
      .map((item) => {
        let next = item;
        for (const change of pending) next = changed(next, change);
        count(counts, item, next);
        return next;
      });
    const sweep = pending.find((change) => change.all);
    if (sweep && sweep.state !== "seen") counts.unread = items.filter((item) => item.id > sweep.before && isUnread(item)).length;
    if (sweep) counts.unseen = items.filter((item) => item.id > sweep.before && isUnseen(item)).length;
    return { items, ...counts };
  }
}

/**
 * Return the items of a snapshot's inbox that a filter shows. Items below the last fetched page are omitted, because the list
 * has gaps there.
 * @param {any} inbox @param {string} filter @param {number} now ms @returns {{items: any[], more: boolean}}
 */
export function listed(inbox, filter, now = Date.now()) {
  const { categories } = FILTERS[filter];
  const floors = [inbox.pages[filter]?.floor, filter === "archived" ? undefined : inbox.pages.all?.floor].filter(
    (floor) => floor !== undefined,
  );
  const floor = floors.length ? floors.reduce((a, b) => (a < b ? a : b)) : "~";
  const items = inbox.items.filter(
    (item) =>
      item.id >= floor &&
      Boolean(item.archivedAt) === (filter === "archived") &&
      (filter !== "unread" || !item.readAt) &&
      (!categories || categories.includes(item.category)) &&
      (!item.expiresAt || Date.parse(item.expiresAt) > now),
  );
  return { items, more: floor !== "" };
}
