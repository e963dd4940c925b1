/** The inbox as a value: what the hub said, what is asked for but not yet answered, and what to show of both. */

/** The filters of the notification center, and the categories the hub is asked for. */
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

/** An item becomes another. */
function count(counts, item, next) {
  counts.unread += isUnread(next) - isUnread(item);
  counts.unseen += isUnseen(next) - isUnseen(item);
}

/** What each change makes of an item that it fits. */
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
  const fits = change.all ? item.id <= change.before && isCounted(item) : change.ids.includes(item.id);
  if (!fits || !CHANGES[change.state]) return item;
  const next = CHANGES[change.state](item, change.at, change);
  const blind = change.seen === false || change.unsee?.includes(item.id);
  return change.state === "unread" && blind && next.seenAt ? { ...next, seenAt: null } : next;
}

export class Inbox {
  /** @type {Map<string, any>} what the hub said, by id */
  items = new Map();
  unread = 0;
  unseen = 0;
  /** @type {Record<string, {next: string | null, floor: string}>} how far each filter has been listed */
  pages = {};
  /** @type {Set<Change>} asked for, not yet answered */
  pending = new Set();

  /** What is kept over page loads beside the items. */
  get kept() {
    return { unread: this.unread, unseen: this.unseen, pages: this.pages };
  }

  /** Begin anew with the hub's first page. @param {any} page */
  replace(page) {
    this.items = new Map();
    this.pages = {};
    this.add("all", page);
    this.unread = page.unread;
    this.unseen = page.unseen;
  }

  /** One more page of a filter; what is known already is newer than it. @param {string} filter @param {any} page */
  add(filter, page) {
    for (const item of page.items) if (!this.items.has(item.id)) this.items.set(item.id, item);
    this.pages[filter] = { next: page.next, floor: page.next === null ? "" : (page.items.at(-1)?.id ?? "") };
  }

  /** A `notification` event. @param {any} event @returns {any} the item */
  arrive({ unread, unseen, invalidates, ...item }) {
    this.items.set(item.id, item);
    this.#count({ unread, unseen });
    return item;
  }

  /**
   * A `notification_state` event, or a change that the hub has answered.
   * @param {Change & {unread?: number, unseen?: number}} change @returns {{touched: string[], removed: string[], unknown: boolean}}
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
    const comesBack = change.state === "unarchived" && (change.all || change.ids?.some((id) => !this.items.has(id)));
    return { touched, removed, unknown: Boolean(comesBack) };
  }

  /** A change that took effect on the hub, whose event may come before or after. @param {Change} change */
  settle(change) {
    const { unread, unseen } = this.view();
    this.pending.delete(change);
    const result = this.apply(change);
    // What lies below what is loaded was counted as read by the view, too.
    if (change.all) this.#count({ unread, unseen });
    return result;
  }

  #count({ unread, unseen }) {
    this.unread = unread ?? this.unread;
    this.unseen = unseen ?? this.unseen;
  }

  /** What to show: items newest first, and counts that follow from the same items. */
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
 * What a filter shows of a snapshot's inbox. Older items than its list has reached are left out: others are missing there.
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
