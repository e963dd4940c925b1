/** Something that is watched: what it is now, and who wants to know when that changes. */

export class Store {
  #listeners = new Set();

  /** @param {any} state what it is at first; never changed, only replaced */
  constructor(state) {
    this.state = state;
  }

  /** Nobody looks at it. */
  get idle() {
    return !this.#listeners.size;
  }

  /** What is known now; the same object as long as nothing changed. */
  getSnapshot = () => this.state;

  /** @param {() => void} listener called after a change @returns {() => void} stops it */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.begin();
    return () => {
      if (this.#listeners.delete(listener) && this.idle) this.rest();
    };
  };

  /** @param {object} patch what is different now */
  set(patch) {
    this.state = { ...this.state, ...patch };
    this.changed();
  }

  changed() {
    for (const listener of [...this.#listeners]) listener();
  }

  /** The first has come to look. */
  begin() {}

  /** The last has gone. */
  rest() {}
}
