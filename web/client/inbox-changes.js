/** What somebody does to their inbox: shown at once, taken back when the hub refuses, put back when they want it undone. */

const PATH = "/api/realtime/notifications";
const UNDO_FOR = 30_000;
/** What each verb makes of a notification, and what makes up for it. */
const STATES = { read: "read", unread: "unread", seen: "seen", archive: "archived", unarchive: "unarchived" };
const BACK = { read: "unread", archive: "unarchived", unarchive: "archived" };

export const VERBS = Object.keys(STATES);

export class Changes {
  #last = Promise.resolve();

  /**
   * @param {{request: Function, clock: any, inbox: () => import("./inbox.js").Inbox, now: () => string, shown: () => any,
   *   draw: () => void, noted: (result: any) => void, offer: (undo: any) => void}} wiring `offer` shows what can be undone
   */
  constructor(wiring) {
    Object.assign(this, wiring);
  }

  /** @param {string} verb @param {{ids?: string[], all?: boolean, before?: string}} which */
  async change(verb, which) {
    const before = this.shown().inbox.items;
    const change = this.#show({ ...which, state: STATES[verb] });
    const after = new Map(this.shown().inbox.items.map((item) => [item.id, item]));
    const touched = before.filter((item) => after.get(item.id) !== item);
    const ids = touched.map(({ id }) => id);
    if (which.ids && !ids.length) return void this.inbox().pending.delete(change);
    const ask = () => this.request("POST", `${PATH}/${verb}`, which);
    if (!BACK[verb]) return this.#attempt(change, ask);
    const unsee = touched.filter(({ seenAt }) => !seenAt).map(({ id }) => id);
    const undo = { verb, ids, unsee, token: null, until: this.clock.now() + UNDO_FOR };
    this.offer(undo);
    this.#last = this.#attempt(
      change,
      async () => {
        const { undo: token } = await ask();
        if (this.shown().undo === undo && token) this.offer({ ...undo, token });
      },
      () => this.shown().undo?.until === undo.until && this.offer(null),
    );
    return this.#last;
  }

  /** Everything that is listed now; what comes while the request is under way stays unread. */
  async readAll() {
    const newest = this.shown().inbox.items.find((item) => !item.archivedAt);
    if (newest) await this.change("read", { all: true, before: newest.id });
  }

  /** Put back what the last change did. */
  async undo() {
    await this.#last.catch(() => {});
    const { undo } = this.shown();
    if (!undo?.token) return;
    const change = this.#show({ ids: undo.ids, unsee: undo.unsee, state: BACK[undo.verb] });
    this.offer(null);
    await this.#attempt(
      change,
      async () => {
        const { unread, unseen } = await this.request("POST", `${PATH}/undo`, { undo: undo.token });
        if (this.shown().status !== "live") Object.assign(this.inbox(), { unread, unseen });
      },
      () => this.offer(undo),
    );
  }

  /** Press a notification's button: kept, in every tab. @param {string} id @param {string} action */
  act(id, action) {
    const change = this.#show({ ids: [id], state: "action", action });
    return this.#attempt(change, () => this.request("POST", `/api/notifications/${id}/actions/${action}`));
  }

  #show(what) {
    const change = { ...what, at: this.now() };
    this.inbox().pending.add(change);
    this.draw();
    return change;
  }

  async #attempt(change, ask, failed = () => {}) {
    const before = this.inbox();
    try {
      await ask();
      // Somebody else may be here by now.
      if (before === this.inbox()) this.noted(before.settle(change));
    } catch (error) {
      before.pending.delete(change);
      this.draw();
      failed();
      throw error;
    }
  }
}
