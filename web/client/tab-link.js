/** How tabs reach the one Core of their browser: messages over a port, the same for a worker and for a tab that leads. */

const PATIENCE = 3_000;
const MISSED = 100;

/** Serves one Core to any number of tabs. `tell` reaches all of them, `port.postMessage` one. */
export class Host {
  #said;
  /** @type {Map<string, boolean>} tab → whether it is visible; the one seen last is last */
  #tabs = new Map();
  #missed = [];

  /** @param {import("./core.js").Core} core @param {(message: any) => void} tell */
  constructor(core, tell) {
    this.core = core;
    this.tell = tell;
    this.#said = core.getSnapshot();
    core.subscribe(() => this.#changed());
    core.onEvent((event) => {
      // Between two pages nobody listens: what comes then is told to the next one.
      if (!this.#tabs.size) this.#missed = [...this.#missed, event].slice(-MISSED);
      tell({ event: { ...event, front: this.front() } });
    });
  }

  /** A message from a tab. @param {any} message @param {(answer: any) => void} answer */
  async take(message, answer) {
    if (message.hello) {
      this.#tabs.set(message.hello, message.visible);
      answer({ state: this.core.getSnapshot() });
      for (const event of this.#missed) answer({ event: { ...event, front: message.hello } });
      this.#missed = [];
    } else if (message.visible !== undefined) {
      this.#tabs.delete(message.tab);
      this.#tabs.set(message.tab, message.visible);
      if (message.visible) this.core.wake();
    } else if (message.bye) {
      this.#tabs.delete(message.bye);
    } else if (message.heard) {
      this.core.heard(message.heard);
    } else if (message.call) {
      const done = await outcome(() => this.core[message.call](...message.args));
      answer({ ...done, done: message.number });
    }
  }

  /** Who shows a toast when no tab is visible: the one that was seen last. */
  front() {
    const tabs = [...this.#tabs];
    return tabs.some(([, visible]) => visible) ? null : (tabs.at(-1)?.[0] ?? null);
  }

  #changed() {
    const state = this.core.getSnapshot();
    const patch = {};
    for (const key of Object.keys(state)) if (state[key] !== this.#said[key]) patch[key] = state[key];
    this.#said = state;
    if (Object.keys(patch).length) this.tell({ patch });
  }
}

/** @param {() => Promise<any>} act */
async function outcome(act) {
  try {
    return { value: await act() };
  } catch (error) {
    const { name, message, status, code, field, more } = /** @type {any} */ (error);
    return { error: { name, message, status, code, field, more } };
  }
}

/** A tab's copy of the state of a Core that runs elsewhere. */
export class Mirror {
  #state = null;
  #waiting = new Map();
  #number = 0;
  /** When the other side was last heard, ms. */
  heard = Date.now();

  /** @param {string} tab @param {(message: any) => void} post @param {{changed: () => void, event: (event: any) => void}} listener */
  constructor(tab, post, listener) {
    this.tab = tab;
    this.post = post;
    this.listener = listener;
    this.hello();
  }

  getSnapshot() {
    return this.#state;
  }

  /** Introduce ourselves, again if somebody else leads now; what was asked and not answered is asked again. */
  hello() {
    this.post({ hello: this.tab, visible: isVisible() });
    for (const { message } of this.#waiting.values()) this.post(message);
  }

  /** @param {any} message from the other side */
  take({ state, patch, event, done, value, error }) {
    this.heard = Date.now();
    if (state) this.#state = state;
    if (patch && this.#state) this.#state = { ...this.#state, ...settled(this.#state, patch) };
    if (state || patch) this.listener.changed();
    if (event) this.listener.event(event);
    if (event?.id) this.post({ heard: event.id });
    const asked = done && this.#waiting.get(done);
    if (!asked) return;
    this.#waiting.delete(done);
    if (error) asked.reject(Object.assign(new Error(error.message), error));
    else asked.resolve(value);
  }

  /** @param {string} call @param {any[]} args @returns {Promise<any>} */
  call(call, args) {
    return new Promise((resolve, reject) => {
      const number = `${this.tab} ${++this.#number}`;
      const message = { call, args, number };
      this.#waiting.set(number, { message, resolve, reject });
      this.post(message);
    });
  }

  /** What nobody answered yet, to be asked of somebody else. */
  leftOver() {
    const left = [...this.#waiting.values()];
    this.#waiting.clear();
    return left;
  }
}

/** Copies that arrive anew are taken for the old objects where they are the same. */
function settled(state, patch) {
  const before = patch.inbox && new Map(state.inbox.items.map((item) => [item.id, item]));
  if (!before) return patch;
  const items = patch.inbox.items.map((item) => {
    const old = before.get(item.id);
    return old && JSON.stringify(old) === JSON.stringify(item) ? old : item;
  });
  return { ...patch, inbox: { ...patch.inbox, items } };
}

export const isVisible = () => globalThis.document?.visibilityState !== "hidden";

/**
 * No shared workers here: one tab holds a lock and leads, the others listen to it; when it goes, the next one leads.
 * A leader that is frozen holds its lock and says nothing: then the lock is taken from it, and it steps down.
 * @param {{name: string, tab: string, lead: () => {core: any, stop: () => void}, lost: () => void, follow: (mirror: Mirror) => void,
 *   listener: any}} options @returns {() => void} ends it
 */
export function elect({ name, tab, lead, follow, listener }) {
  const channel = new BroadcastChannel(name);
  let host = null;
  let reign = null;
  let gone = false;
  const mirror = new Mirror(tab, (message) => channel.postMessage({ from: tab, up: message }), listener);
  follow(mirror);
  channel.onmessage = ({ data }) => {
    if (host && data.up) host.take(data.up, (answer) => channel.postMessage({ to: data.from, down: answer }));
    if (host || data.up) return;
    if (data.leads) mirror.hello();
    if (data.down && (!data.to || data.to === tab)) mirror.take(data.down);
  };
  const take = (options) =>
    navigator.locks
      .request(name, options, () => {
        if (gone) return undefined;
        reign = lead(mirror);
        host = new Host(reign.core, (message) => channel.postMessage({ down: message }));
        reign.hosted(host);
        channel.postMessage({ leads: tab });
        return new Promise((resolve) => (reign.end = resolve));
      })
      .catch((error) => {
        if (error.name !== "AbortError") throw error;
        // Somebody took the lock from us: whoever does must be the only one with a stream.
        reign?.stop();
        host = reign = null;
        if (gone) return;
        follow(mirror);
        mirror.hello();
        take({});
      });
  take({});
  const watch = setInterval(() => {
    if (host || !isVisible() || Date.now() - mirror.heard < 20_000) return;
    channel.postMessage({ from: tab, up: { hello: tab, visible: true } });
    setTimeout(() => !host && Date.now() - mirror.heard > 20_000 && take({ steal: true }), PATIENCE);
  }, 5_000);
  return () => {
    gone = true;
    clearInterval(watch);
    reign?.stop();
    reign?.end?.();
    channel.close();
  };
}
