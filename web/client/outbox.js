/** Messages that are written now and sent when that is possible, once: each keeps its clientMessageId until the hub has it. */

import { Problem, isPassing, newKey } from "./request.js";

/** What could not be sent is tried again when the stream is live, and after this, ms. */
const AGAIN = 5_000;

export class Outbox {
  /** @type {any[]} in the order they were written; `error` says why the hub refused one */
  messages = [];
  #sending = false;
  #timer;
  #resting = false;

  /**
   * @param {{request: Function, storage: any, clock: any, random: () => number, changed: (messages: any[]) => void,
   *   sent: (message: any) => void}} wiring
   */
  constructor(wiring) {
    Object.assign(this, wiring);
  }

  /** @param {any[]} messages what this browser kept */
  restore(messages) {
    this.#change(messages.sort((a, b) => a.createdAt - b.createdAt));
  }

  /** Try nothing by itself any more, until asked to. */
  rest() {
    this.#resting = true;
    this.clock.clearTimeout(this.#timer);
  }

  /** @param {any} message @returns {Promise<string>} its clientMessageId, as soon as it is on disk */
  async send(message) {
    const clientMessageId = message.clientMessageId ?? newKey();
    const kept = { type: "text", ...message, clientMessageId, createdAt: this.clock.now(), error: null };
    this.#change([...this.#without(clientMessageId), kept]);
    await this.storage.keep(kept);
    this.flush();
    return clientMessageId;
  }

  /** @param {string} clientMessageId of one that was refused */
  async resend(clientMessageId) {
    const message = this.messages.find((one) => one.clientMessageId === clientMessageId);
    return message && this.send(message);
  }

  /** @param {string} clientMessageId */
  async discard(clientMessageId) {
    this.#change(this.#without(clientMessageId));
    await this.storage.drop(clientMessageId);
  }

  /** Send what waits, one after the other. */
  async flush() {
    this.#resting = false;
    if (this.#sending) return;
    this.#sending = true;
    this.clock.clearTimeout(this.#timer);
    try {
      let next;
      while ((next = this.messages.find((one) => !one.error))) await this.#post(next);
    } catch {
      if (!this.#resting) this.#timer = this.clock.setTimeout(() => this.flush(), AGAIN * (1 + 2 * this.random()));
    } finally {
      this.#sending = false;
    }
  }

  async #post({ createdAt, error: _error, ...message }) {
    const { clientMessageId } = message;
    try {
      this.sent(await this.request("POST", "/api/realtime/messages/send", message, clientMessageId));
      await this.discard(clientMessageId);
    } catch (error) {
      if (!(error instanceof Problem) || isPassing(error)) throw error;
      const failed = { ...message, createdAt, error: error.message };
      this.#change(this.messages.map((one) => (one.clientMessageId === clientMessageId ? failed : one)));
      await this.storage.keep(failed);
    }
  }

  #without(clientMessageId) {
    return this.messages.filter((one) => one.clientMessageId !== clientMessageId);
  }

  #change(messages) {
    this.messages = messages;
    this.changed(messages);
  }
}
