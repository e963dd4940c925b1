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
    this.wiring = wiring;
  }

  /** Somebody typed, clicked or moved. */
  active() {
    this.#activeAt = this.wiring.clock.now();
  }

  /** Something came that was meant for this user: say soon that it arrived, but not all browsers at once. */
  shortly() {
    if (!this.#soon) this.start(2_000 + this.wiring.random() * 28_000);
    this.#soon = true;
  }

  stop() {
    this.wiring.clock.clearTimeout(this.#timer);
    this.#soon = false;
  }

  /** Say it after a while, and again and again. @param {number} [wait] ms */
  start(wait = EVERY) {
    const { clock, isLive } = this.wiring;
    this.stop();
    this.#timer = clock.setTimeout(async () => {
      this.#soon = false;
      // A hub without presence answers 404: there is nobody to tell.
      if (!isLive() || (await this.#tell()) !== 404) this.start();
    }, wait);
  }

  async #tell() {
    const { request, clock, stored } = this.wiring;
    const active = clock.now() - this.#activeAt < ACTIVE_FOR;
    return request("POST", "/api/presence", { active, cursor: stored() || undefined }).catch((error) => error.status);
  }
}
