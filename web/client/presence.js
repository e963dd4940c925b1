/** Tells the hub whether somebody is there, and which place in the log this browser has on its disk. */

const EVERY = 60_000;
/** Input is recent for so long, ms. */
const ACTIVE_FOR = 60_000;

export class Presence {
  #timer;
  #soon = false;
  #activeAt = 0;

  /** @param {{request: Function, clock: any, random: () => number, stored: () => string, isLive: () => boolean}} wiring */
  constructor(wiring) {
    Object.assign(this, wiring);
  }

  /** Somebody typed, clicked or moved. */
  active() {
    this.#activeAt = this.clock.now();
  }

  /** Something came that was meant for this user: say soon that it arrived, but not all browsers at once. */
  shortly() {
    if (!this.#soon) this.start(2_000 + this.random() * 28_000);
    this.#soon = true;
  }

  stop() {
    this.clock.clearTimeout(this.#timer);
    this.#soon = false;
  }

  /** Say it after a while, and again and again. @param {number} [wait] ms */
  start(wait = EVERY) {
    this.stop();
    this.#timer = this.clock.setTimeout(async () => {
      this.#soon = false;
      // A hub without presence answers 404: there is nobody to tell.
      if (!this.isLive() || (await this.#tell()) !== 404) this.start();
    }, wait);
  }

  async #tell() {
    const active = this.clock.now() - this.#activeAt < ACTIVE_FOR;
    return this.request("POST", "/api/presence", { active, cursor: this.stored() || undefined }).catch((error) => error.status);
  }
}
