/** Optimistic inbox changes, rollback and undo. */

const PATH = "/api/realtime/notifications";
const UNDO_MS = 30_000;
/** The state that each verb sets, and the state that reverses it. */
const STATES = { read: "read", unread: "unread", seen: "seen", archive: "archived", unarchive: "unarchived" };
const REVERSE = { read: "unread", archive: "unarchived", unarchive: "archived" };

export const VERBS = Object.keys(STATES);

export class InboxChanges {
  #last = Promise.resolve();

  /** @param {{core: import("./core-state.js").CoreState, pages: import("./inbox-pages.js").InboxPages, request: Function}} options */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Change notifications at once; roll back if the hub rejects it. @param {string} verb @param {{ids?: string[], all?: boolean, before?: string}} which */
  async change(verb, which) {
    const { core } = this;
    const before = core.getSnapshot().inbox.items;
    const change = this.#begin({ ...which, state: STATES[verb] });
    const after = new Map(core.getSnapshot().inbox.items.map((item) => [item.id, item]));
    const touched = before.filter((item) => after.get(item.id) !== item);
    const ids = touched.map(({ id }) => id);
    if (which.ids && !ids.length) return void core.inbox.pending.delete(change);
    const send = () => this.request("POST", `${PATH}/${verb}`, which);
    if (!REVERSE[verb]) return this.#attempt(change, send);
    const unsee = touched.filter(({ seenAt }) => !seenAt).map(({ id }) => id);
    const undo = { verb, ids, unsee, token: null, until: core.clock.now() + UNDO_MS };
    core.set({ undo });
    this.#last = this.#attempt(
      change,
      async () => {
        const { undo: token } = await send();
        if (core.state.undo === undo && token) core.set({ undo: { ...undo, token } });
      },
      () => core.state.undo?.until === undo.until && core.set({ undo: null }),
    );
    return this.#last;
  }

  /** Mark everything as read that is listed now; what arrives during the request stays unread. */
  async readAll() {
    const newest = this.core.getSnapshot().inbox.items.find((item) => !item.archivedAt);
    if (newest) await this.change("read", { all: true, before: newest.id });
  }

  /** Reverse the last change. */
  async undo() {
    const { core } = this;
    await this.#last.catch(() => {});
    const { undo } = core.state;
    if (!undo?.token) return;
    const change = this.#begin({ ids: undo.ids, unsee: undo.unsee, state: REVERSE[undo.verb] });
    core.set({ undo: null });
    await this.#attempt(
      change,
      async () => {
        const { unread, unseen } = await this.request("POST", `${PATH}/undo`, { undo: undo.token });
        if (!core.isLive) Object.assign(core.inbox, { unread, unseen });
      },
      () => core.set({ undo }),
    );
  }

  /** Press a notification's button; it stays pressed in every tab. @param {string} id @param {string} action */
  act(id, action) {
    const change = this.#begin({ ids: [id], state: "action", action });
    return this.#attempt(change, () => this.request("POST", `/api/notifications/${id}/actions/${action}`));
  }

  #begin(what) {
    const change = { ...what, at: this.core.serverTime };
    this.core.inbox.pending.add(change);
    this.core.updateInbox();
    return change;
  }

  async #attempt(change, send, failed = () => {}) {
    const { core } = this;
    const { inbox } = core;
    try {
      await send();
      // The user may have changed meanwhile.
      if (inbox === core.inbox) this.pages.record(inbox.settle(change));
    } catch (error) {
      inbox.pending.delete(change);
      core.updateInbox();
      failed();
      throw error;
    }
  }
}
