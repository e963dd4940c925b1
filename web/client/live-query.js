/** A GET that is refetched or patched when events invalidate it. */

import { Observable } from "./observable.js";

/** The state before the first response. */
export const UNKNOWN = Object.freeze({ data: undefined, loading: true, error: null });
/** An invalidated query is fetched after 40 to 300 ms, so that not all browsers send it at once. */
const MIN_DELAY_MS = 40;
const DELAY_SPREAD_MS = 260;
const JOB_EVENT = /^job_(created|updated|accepted|completed|refunded)$/;

export class LiveQuery extends Observable {
  #stale = true;
  #fetching = false;
  #pages = 1;
  #timer;
  #subscriptions = [];

  /** @param {import("./client.js").Client} client @param {string} path @param {string[]} keys that invalidate it */
  constructor(client, path, keys) {
    super(UNKNOWN);
    this.client = client;
    this.path = path;
    this.keys = keys;
  }

  /** Fetch it now. @returns {Promise<void>} */
  refetch = async () => {
    // During a sign-out the request could only fail.
    if (this.#fetching || this.client.leaving) {
      this.#stale = true;
      return;
    }
    this.#fetching = true;
    this.#stale = false;
    this.set({ loading: true });
    try {
      this.set({ data: await this.#fetchPages(), loading: false, error: null });
    } catch (error) {
      this.set({ loading: false, error });
      // It is fetched again when the stream is live.
      this.#stale = true;
    } finally {
      this.#fetching = false;
    }
    if (this.#stale && !this.state.error) this.#refetchSoon();
  };

  /** Fetch one more page of a list. @returns {Promise<void>} */
  more = async () => {
    this.#pages += 1;
    await this.refetch();
    if (!this.state.error) return;
    this.#pages -= 1;
    throw this.state.error;
  };

  /** Fetch the first page, and as many further pages as were requested. */
  async #fetchPages() {
    let data = await this.client.request("GET", this.path);
    for (let page = 1; page < this.#pages && data.next; page += 1) {
      const { items, next } = await this.client.request("GET", `${this.path}&after=${encodeURIComponent(data.next)}`);
      data = { ...data, items: [...data.items, ...items], next };
    }
    return data;
  }

  activate() {
    const { client } = this;
    this.#subscriptions = [
      client.onInvalidate((keys) => (keys.includes("*") || keys.some((key) => this.keys.includes(key))) && this.#refetchSoon()),
      client.on("*", (event) => this.#receive(event)),
    ];
    const onVisible = () => document.visibilityState === "visible" && this.#stale && this.#refetchSoon();
    globalThis.document?.addEventListener("visibilitychange", onVisible);
    this.#subscriptions.push(() => globalThis.document?.removeEventListener("visibilitychange", onVisible));
    this.refetch();
  }

  deactivate() {
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stale = true;
    this.#pages = 1;
  }

  #receive({ name, data }) {
    // The stream starts at the position of the inbox; this query may miss earlier events.
    if (name === "snapshot") this.#refetchSoon();
    if (name === "status" && data.status === "live" && this.#stale) this.#refetchSoon();
    if (JOB_EVENT.test(name)) this.#patch(data);
    if (name === "job_deleted") this.#remove(data.id);
  }

  #patch({ url: _url, invalidates: _keys, ...job }) {
    const { data } = this.state;
    if (data?.items?.some((item) => item.id === job.id && item.title !== undefined && item.budget !== undefined)) {
      this.set({ data: { ...data, items: data.items.map((item) => (item.id === job.id ? { ...item, ...job } : item)) } });
    } else if (data?.id === job.id) {
      this.set({ data: { ...data, ...job } });
    }
  }

  #remove(id) {
    const { data } = this.state;
    if (data?.items?.some((item) => item.id === id)) {
      this.set({ data: { ...data, items: data.items.filter((item) => item.id !== id) } });
    }
  }

  #refetchSoon() {
    this.#stale = true;
    if (this.#timer || globalThis.document?.visibilityState === "hidden") return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.refetch();
      },
      MIN_DELAY_MS + this.client.random() * DELAY_SPREAD_MS,
    );
  }
}
