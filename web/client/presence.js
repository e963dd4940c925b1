/** Reports activity and acknowledged cursors. */

const INTERVAL_MS = 60_000;
/** The user is active for this long after their last input, ms. */
const ACTIVE_MS = 60_000;
/** After an event for this user the report follows within these limits, ms: not all browsers report at once. */
const MIN_SOON_MS = 2_000;
const MAX_SOON_MS = 30_000;

export class Presence {
  #timer;
  #isSoon = false;
  #activeAt = 0;

  /**
   * @param {{core: import("./core-state.js").CoreState, persistence: import("./persistence.js").Persistence, request: Function,
   *   random: () => number}} options
   */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Record that the user produced input. */
  recordActivity() {
    this.#activeAt = this.core.clock.now();
  }

  /** Acknowledge an event for this user soon. */
  reportSoon() {
    if (!this.#isSoon) this.start(MIN_SOON_MS + this.random() * (MAX_SOON_MS - MIN_SOON_MS));
    this.#isSoon = true;
  }

  stop() {
    this.core.clock.clearTimeout(this.#timer);
    this.#isSoon = false;
  }

  /** Report after a delay, then periodically. @param {number} [delay] ms */
  start(delay = INTERVAL_MS) {
    this.stop();
    this.#timer = this.core.clock.setTimeout(async () => {
      this.#isSoon = false;
      // A hub without presence responds with 404.
      if (!this.core.isLive || (await this.#report()) !== 404) this.start();
    }, delay);
  }

  async #report() {
    const active = this.core.clock.now() - this.#activeAt < ACTIVE_MS;
    const cursor = this.persistence.storedCursor || undefined;
    return this.request("POST", "/api/presence", { active, cursor }).catch((error) => error.status);
  }
}
