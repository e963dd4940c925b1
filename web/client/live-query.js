/** An answer of the hub that stays fresh: fetched once, patched by what is told of its jobs, fetched again when it is old. */

import { Store } from "./observable.js";

/** Before the first answer. */
export const UNKNOWN = Object.freeze({ data: undefined, loading: true, error: null });
/** Many pages hear of the same event: they do not all ask in the same moment. */
const SOON = 40;
const SPREAD = 260;
const JOB = /^job_(created|updated|accepted|completed|refunded)$/;

export class Live extends Store {
  #stale = true;
  #busy = false;
  #pages = 1;
  #timer;
  #ends = [];

  /** @param {import("./client.js").Client} client @param {string} path @param {string[]} keys what makes it old */
  constructor(client, path, keys) {
    super(UNKNOWN);
    this.client = client;
    this.path = path;
    this.keys = keys;
  }

  /** Ask again now. @returns {Promise<void>} */
  refetch = async () => {
    // Who is about to log out asks for nothing more.
    if (this.#busy || this.client.leaving) {
      this.#stale = true;
      return;
    }
    this.#busy = true;
    this.#stale = false;
    this.set({ loading: true });
    try {
      this.set({ data: await this.#all(), loading: false, error: null });
    } catch (error) {
      this.set({ loading: false, error });
      // What could not be fetched now is fetched when the hub is back.
      this.#stale = true;
    } finally {
      this.#busy = false;
    }
    if (this.#stale && !this.state.error) this.#soon();
  };

  /** One page more of a list. Rejects with what went wrong. @returns {Promise<void>} */
  more = async () => {
    this.#pages += 1;
    await this.refetch();
    if (!this.state.error) return;
    this.#pages -= 1;
    throw this.state.error;
  };

  /** The first page, and as many more as were asked for. */
  async #all() {
    let data = await this.client.request("GET", this.path);
    for (let page = 1; page < this.#pages && data.next; page += 1) {
      const { items, next } = await this.client.request("GET", `${this.path}&after=${encodeURIComponent(data.next)}`);
      data = { ...data, items: [...data.items, ...items], next };
    }
    return data;
  }

  begin() {
    const { client } = this;
    this.#ends = [
      client.onInvalidate((keys) => (keys.includes("*") || keys.some((key) => this.keys.includes(key))) && this.#soon()),
      client.on("*", (event) => this.#hear(event)),
    ];
    const seen = () => document.visibilityState === "visible" && this.#stale && this.#soon();
    globalThis.document?.addEventListener("visibilitychange", seen);
    this.#ends.push(() => globalThis.document?.removeEventListener("visibilitychange", seen));
    this.refetch();
  }

  rest() {
    for (const end of this.#ends) end();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stale = true;
    this.#pages = 1;
  }

  #hear({ name, data }) {
    // A stream that begins where the inbox was listed knows nothing of what happened to this before.
    if (name === "snapshot") this.#soon();
    if (name === "status" && data.status === "live" && this.#stale) this.#soon();
    if (JOB.test(name)) this.#patch(data);
    if (name === "job_deleted") this.#without(data.id);
  }

  #patch({ url: _url, invalidates: _keys, ...job }) {
    const { data } = this.state;
    if (data?.items?.some((item) => item.id === job.id && item.title !== undefined && item.budget !== undefined)) {
      this.set({ data: { ...data, items: data.items.map((item) => (item.id === job.id ? { ...item, ...job } : item)) } });
    } else if (data?.id === job.id) {
      this.set({ data: { ...data, ...job } });
    }
  }

  #without(id) {
    const { data } = this.state;
    if (data?.items?.some((item) => item.id === id)) {
      this.set({ data: { ...data, items: data.items.filter((item) => item.id !== id) } });
    }
  }

  #soon() {
    this.#stale = true;
    if (this.#timer || globalThis.document?.visibilityState === "hidden") return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.refetch();
      },
      SOON + this.client.random() * SPREAD,
    );
  }
}
