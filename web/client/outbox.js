/** Outgoing messages, sent once when online. */

import { Problem, isPassing, newKey } from "./request.js";

/** A message that could not be sent is sent again when the stream is live, or after one to three times this long, ms. */
const RETRY_MS = 5_000;

export class Outbox {
  /** @type {any[]} in the order they were written; `error` says why the hub rejected one */
  messages = [];
  #sending = false;
  #timer;
  #paused = false;

  /** @param {{core: import("./core-state.js").CoreState, request: Function, storage: any, random: () => number}} options */
  constructor(options) {
    Object.assign(this, options);
  }

  /** Continue with stored messages. @param {any[]} messages */
  restore(messages) {
    this.#replace(messages.sort((a, b) => a.createdAt - b.createdAt));
  }

  /** Forget all messages; what is on disk is deleted by the caller. */
  clear() {
    this.messages = [];
  }

  /** Send nothing until `flush` is called. */
  pause() {
    this.#paused = true;
    this.core.clock.clearTimeout(this.#timer);
  }

  /** Store and send a message. @param {any} message @returns {Promise<string>} its clientMessageId, as soon as it is on disk */
  async send(message) {
    const clientMessageId = message.clientMessageId ?? newKey();
    const stored = { type: "text", ...message, clientMessageId, createdAt: this.core.clock.now(), error: null };
    this.#replace([...this.#without(clientMessageId), stored]);
    await this.storage.putMessage(stored);
    this.flush();
    return clientMessageId;
  }

  /** Send a rejected message again. @param {string} clientMessageId */
  async resend(clientMessageId) {
    const message = this.messages.find((each) => each.clientMessageId === clientMessageId);
    return message && this.send(message);
  }

  /** Delete a message that was not sent. @param {string} clientMessageId */
  async discard(clientMessageId) {
    this.#replace(this.#without(clientMessageId));
    await this.storage.deleteMessage(clientMessageId);
  }

  /** Send all messages that were not rejected, one after the other. */
  async flush() {
    this.#paused = false;
    if (this.#sending) return;
    this.#sending = true;
    this.core.clock.clearTimeout(this.#timer);
    try {
      let next;
      while ((next = this.messages.find((each) => !each.error))) await this.#post(next);
    } catch {
      const wait = RETRY_MS * (1 + 2 * this.random());
      if (!this.#paused) this.#timer = this.core.clock.setTimeout(() => this.flush(), wait);
    } finally {
      this.#sending = false;
    }
  }

  async #post({ createdAt, error: _error, ...message }) {
    const { clientMessageId } = message;
    try {
      // The clientMessageId is the Idempotency-Key too, so that a repeated request creates no second message.
      this.core.emit("message", await this.request("POST", "/api/realtime/messages/send", message, clientMessageId));
      await this.discard(clientMessageId);
    } catch (error) {
      if (!(error instanceof Problem) || isPassing(error)) throw error;
      const failed = { ...message, createdAt, error: error.message };
      this.#replace(this.messages.map((each) => (each.clientMessageId === clientMessageId ? failed : each)));
      await this.storage.putMessage(failed);
    }
  }

  #without(clientMessageId) {
    return this.messages.filter((each) => each.clientMessageId !== clientMessageId);
  }

  #replace(messages) {
    this.messages = messages;
    this.core.set({ outbox: messages });
  }
}
