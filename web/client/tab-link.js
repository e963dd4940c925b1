/** Connects tabs to the Core, in a shared worker or in the leader tab. */
// Messages of a tab: {join, visible}, {tab, visible}, {leave}, {shown}, {call, args, number}.
// Messages of the Core: {state}, {patch}, {event}, {done, value | error}.

/** How long a leader may take to respond before its lock is taken, ms. */
const RESPONSE_MS = 3_000;
const CHECK_INTERVAL_MS = 5_000;
/** A leader that sent nothing for this long is checked, ms. */
const MAX_SILENCE_MS = 20_000;
const MAX_UNDELIVERED = 100;

/** Serves one Core to any number of tabs. */
export class CoreHost {
  #sentState;
  /** @type {Map<string, boolean>} tab → whether it is visible, ordered by when they were last visible or hidden */
  #tabs = new Map();
  #undelivered = [];

  /** @param {import("./core.js").Core} core @param {(message: any) => void} broadcast sends a message to all tabs */
  constructor(core, broadcast) {
    this.core = core;
    this.broadcast = broadcast;
    this.#sentState = core.getSnapshot();
    core.subscribe(() => this.#sendPatch());
    core.onEvent((event) => {
      // Between two pages there is no tab: the next tab receives these events.
      if (!this.#tabs.size) this.#undelivered = [...this.#undelivered, event].slice(-MAX_UNDELIVERED);
      broadcast({ event: { ...event, frontTab: this.frontTab() } });
    });
  }

  /** Handle a message of a tab. @param {any} message @param {(message: any) => void} respond sends a message to this tab */
  async receive(message, respond) {
    if (message.join) {
      this.#tabs.set(message.join, message.visible);
      respond({ state: this.core.getSnapshot() });
      for (const event of this.#undelivered) respond({ event: { ...event, frontTab: message.join } });
      this.#undelivered = [];
    } else if (message.visible !== undefined) {
      this.#tabs.delete(message.tab);
      this.#tabs.set(message.tab, message.visible);
      if (message.visible) this.core.wake();
    } else if (message.leave) {
      this.#tabs.delete(message.leave);
    } else if (message.shown) {
      this.core.markShown(message.shown);
    } else if (message.call) {
      const outcome = await outcomeOf(() => this.core[message.call](...message.args));
      respond({ ...outcome, done: message.number });
    }
  }

  /** The tab that shows toasts while no tab is visible: the one that was visible last. */
  frontTab() {
    const tabs = [...this.#tabs];
    return tabs.some(([, visible]) => visible) ? null : (tabs.at(-1)?.[0] ?? null);
  }

  #sendPatch() {
    const state = this.core.getSnapshot();
    const patch = {};
    for (const key of Object.keys(state)) if (state[key] !== this.#sentState[key]) patch[key] = state[key];
    this.#sentState = state;
    if (Object.keys(patch).length) this.broadcast({ patch });
  }
}

/** Errors lose their members when they are cloned between contexts. @param {() => Promise<any>} act */
async function outcomeOf(act) {
  try {
    return { value: await act() };
  } catch (error) {
    const { name, message, status, code, field, more } = /** @type {any} */ (error);
    return { error: { name, message, status, code, field, more } };
  }
}

/** A tab's copy of the state of a Core that runs elsewhere. */
export class CoreProxy {
  #state = null;
  #calls = new Map();
  #number = 0;
  /** When the last message arrived, ms. */
  receivedAt = Date.now();

  /**
   * @param {string} tab @param {(message: any) => void} post
   * @param {{onChange: () => void, onEvent: (event: any) => void}} listener
   */
  constructor(tab, post, listener) {
    this.tab = tab;
    this.post = post;
    this.listener = listener;
    this.join();
  }

  getSnapshot() {
    return this.#state;
  }

  /** Join the host, or a new one after another tab became the leader. Calls without a response are sent again. */
  join() {
    this.post({ join: this.tab, visible: isVisible() });
    for (const { message } of this.#calls.values()) this.post(message);
  }

  /** Handle a message of the host. @param {any} message */
  receive({ state, patch, event, done, value, error }) {
    this.receivedAt = Date.now();
    if (state) this.#state = state;
    if (patch && this.#state) this.#state = { ...this.#state, ...keepUnchanged(this.#state, patch) };
    if (state || patch) this.listener.onChange();
    if (event) this.listener.onEvent(event);
    if (event?.id) this.post({ shown: event.id });
    const call = done && this.#calls.get(done);
    if (!call) return;
    this.#calls.delete(done);
    if (error) call.reject(Object.assign(new Error(error.message), error));
    else call.resolve(value);
  }

  /** Call a method of the Core. @param {string} call @param {any[]} args @returns {Promise<any>} */
  call(call, args) {
    return new Promise((resolve, reject) => {
      const number = `${this.tab} ${++this.#number}`;
      const message = { call, args, number };
      this.#calls.set(number, { message, resolve, reject });
      this.post(message);
    });
  }

  /** Remove and return the calls without a response, so that another Core can execute them. */
  takePendingCalls() {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    return calls;
  }
}

/** Replace items of a patch that did not change by the old objects, so that elements do not render them again. */
function keepUnchanged(state, patch) {
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
 * Elect a leader tab, for browsers without shared workers. The tab with the lock leads; when it closes, the next one does.
 * A frozen leader holds its lock and sends nothing: another tab steals the lock, and the frozen one becomes a follower.
 * @param {{name: string, tab: string, lead: (proxy: CoreProxy) => {core: any, onHost: (host: CoreHost) => void, stop: () => void},
 *   follow: (proxy: CoreProxy) => void, listener: any}} options @returns {() => void} leaves
 */
export function elect({ name, tab, lead, follow, listener }) {
  const channel = new BroadcastChannel(name);
  let host = null;
  let leadership = null;
  let left = false;
  const proxy = new CoreProxy(tab, (message) => channel.postMessage({ from: tab, toLeader: message }), listener);
  follow(proxy);
  channel.onmessage = ({ data }) => {
    if (host && data.toLeader)
      host.receive(data.toLeader, (message) => channel.postMessage({ to: data.from, fromLeader: message }));
    if (host || data.toLeader) return;
    if (data.leader) proxy.join();
    if (data.fromLeader && (!data.to || data.to === tab)) proxy.receive(data.fromLeader);
  };
  const requestLock = (options) =>
    navigator.locks
      .request(name, options, () => {
        if (left) return undefined;
        leadership = lead(proxy);
        host = new CoreHost(leadership.core, (message) => channel.postMessage({ fromLeader: message }));
        leadership.onHost(host);
        channel.postMessage({ leader: tab });
        return new Promise((resolve) => (leadership.release = resolve));
      })
      .catch((error) => {
        if (error.name !== "AbortError") throw error;
        // Another tab stole the lock: only that one may have a stream.
        leadership?.stop();
        host = leadership = null;
        if (left) return;
        follow(proxy);
        proxy.join();
        requestLock({});
      });
  requestLock({});
  const isSilent = () => Date.now() - proxy.receivedAt > MAX_SILENCE_MS;
  const timer = setInterval(() => {
    if (host || !isVisible() || !isSilent()) return;
    channel.postMessage({ from: tab, toLeader: { join: tab, visible: true } });
    setTimeout(() => !host && isSilent() && requestLock({ steal: true }), RESPONSE_MS);
  }, CHECK_INTERVAL_MS);
  return () => {
    left = true;
    clearInterval(timer);
    leadership?.stop();
    leadership?.release?.();
    channel.close();
  };
}
