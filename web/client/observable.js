/** Observable value with subscribe and getSnapshot. */

export class Observable {
  #listeners = new Set();

  /** @param {any} state the first value; it is never modified, only replaced */
  constructor(state) {
    this.state = state;
  }

  /** Whether it has no subscribers. */
  get idle() {
    return !this.#listeners.size;
  }

  /** Return the current value: the same object as long as nothing changed. */
  getSnapshot = () => this.state;

  /** Call the listener after each change. @param {() => void} listener @returns {() => void} unsubscribes */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.activate();
    return () => {
      if (this.#listeners.delete(listener) && this.idle) this.deactivate();
    };
  };

  /** Replace some members of the value. @param {object} patch */
  set(patch) {
    this.state = { ...this.state, ...patch };
    this.notify();
  }

  /** Call every listener. */
  notify() {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Called before the first subscriber is served. */
  activate() {}

  /** Called after the last subscriber left. */
  deactivate() {}
}
