/** Signs the Core in and out, and restores the user, the inbox and the outbox from disk. */

/** An inbox with more stored items than this is fetched again instead of continued. */
const MAX_RESTORED_ITEMS = 300;
const MAX_RETRY_MS = 30_000;

export class CoreSession {
  #loggingOut = false;
  #retries = 0;
  #retryTimer;

  /**
   * @param {{core: import("./core-state.js").CoreState, persistence: import("./persistence.js").Persistence,
   *   pages: import("./inbox-pages.js").InboxPages, outbox: import("./outbox.js").Outbox,
   *   presence: import("./presence.js").Presence, stream: import("./core-stream.js").CoreStream, request: Function,
   *   random: () => number, token?: () => Promise<string | null>}} options
   */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Restore what is on disk, then ask the hub who is signed in. @returns {Promise<void>} */
  async start() {
    const generation = ++this.core.generation;
    this.#stop();
    const stored = await this.persistence.load();
    if (generation !== this.core.generation) return;
    if (stored.meta) this.#restore(stored);
    if (this.core.cursor && !this.token) this.stream.open(this.core.cursor);
    await this.#connect(generation);
  }

  /** A page signed in: this browser is now that user's. @param {any} user */
  async signedIn(user) {
    const generation = ++this.core.generation;
    this.#stop();
    if (this.core.state.user?.id !== user.id) await this.#clear();
    if (generation === this.core.generation) await this.#begin(user, generation);
  }

  /** Sign out, in every tab. */
  async logout() {
    // The stream may end before the response arrives.
    this.#loggingOut = true;
    try {
      await this.request("POST", "/api/auth/logout").catch((error) => {
        if (error.status !== 401) throw error;
      });
      if (this.core.state.user) await this.end("logout");
    } finally {
      this.#loggingOut = false;
    }
  }

  /** The session ended. @param {string} reason */
  async end(reason) {
    ++this.core.generation;
    this.#stop();
    const { user } = this.core.state;
    const own = this.#loggingOut;
    await this.#clear();
    this.core.set({ user: null, status: "signed-out" });
    if (user) this.core.emit("signed-out", { reason, own });
  }

  /** Another user is signed in with this browser now. */
  restart() {
    this.#stop();
    this.#clear().then(() => this.start());
  }

  /** Stop for good; no page is left. */
  close() {
    ++this.core.generation;
    this.#stop();
  }

  /** Try again now if the hub could not be reached. */
  retryNow() {
    if (this.core.state.status !== "offline") return;
    this.#retries = 0;
    this.#connect(this.core.generation);
  }

  /** The newest page of the inbox could not be fetched. @param {any} error */
  async listFailed(error) {
    if (error.status === 401) return this.end("unauthenticated");
    this.core.updateInbox({ loading: false, error: error.message });
    if (this.stream.isOpen) return undefined;
    this.core.set({ status: "offline" });
    return this.#retryLater();
  }

  async #connect(generation) {
    const { core } = this;
    try {
      if (this.token && !(await this.token())) return await this.end("unauthenticated");
      const user = await this.request("GET", "/api/auth/me");
      if (generation !== core.generation) return;
      await this.#begin(user, generation);
    } catch (error) {
      if (generation !== core.generation) return;
      if (error.status === 401 || error.status === 403) return this.end("unauthenticated");
      if (core.state.user === undefined) core.set({ user: null });
      if (!this.stream.isOpen) core.set({ status: "offline" });
      this.#retryLater();
    }
  }

  async #begin(user, generation) {
    const { core } = this;
    if (core.state.user && core.state.user.id !== user.id) {
      this.#stop();
      await this.#clear();
    }
    if (generation !== core.generation) return;
    core.set({ user });
    this.#retries = 0;
    if (!core.listedAt) await this.pages.refresh();
    else this.persistence.save();
    if (generation !== core.generation || !core.listedAt) return;
    if (!this.stream.isOpen) this.stream.open(core.cursor);
    this.pages.loadAnnouncements();
    this.outbox.flush();
    this.presence.start();
  }

  #restore({ meta, items, outbox }) {
    const { core } = this;
    if (items.length <= MAX_RESTORED_ITEMS) {
      core.cursor = meta.cursor;
      this.persistence.restore(meta.cursor);
    }
    if (core.cursor) core.listedAt = meta.listedAt;
    core.inbox.items = new Map(items.map((item) => [item.id, item]));
    Object.assign(core.inbox, { unread: meta.unread, unseen: meta.unseen, pages: meta.pages });
    core.set({ user: meta.user, announcements: meta.announcements ?? [] });
    this.outbox.restore(outbox);
    core.updateInbox({ loaded: true, asOf: meta.at });
  }

  #stop() {
    this.stream.close();
    this.core.clock.clearTimeout(this.#retryTimer);
    this.presence.stop();
    this.outbox.pause();
  }

  async #clear() {
    this.core.clear();
    this.pages.clear();
    this.outbox.clear();
    await this.persistence.wipe();
  }

  /** Exponential backoff with full jitter. */
  #retryLater() {
    const { clock, generation } = this.core;
    clock.clearTimeout(this.#retryTimer);
    const wait = this.random() * Math.min(MAX_RETRY_MS, 1_000 * 2 ** this.#retries++);
    this.#retryTimer = clock.setTimeout(() => this.#connect(generation), wait);
  }
}
