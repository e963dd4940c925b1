/** One conversation: its messages as the hub has them, what still waits to be sent, who is typing, who has read how far. */

import { Store } from "./observable.js";

/** Before anything is known. */
export const EMPTY_TALK = Object.freeze({
  conversation: null,
  messages: [],
  pending: [],
  typing: [],
  loading: true,
  older: false,
  error: null,
});
/** Typing is told at most this often, and read at most this often, ms. */
const TYPING_EVERY = 3_000;
const READ_EVERY = 1_000;

export class Conversation extends Store {
  #ends = [];
  #typists = new Map();
  #typedAt = 0;
  #readUpTo = "";
  #readTimer;

  /** @param {import("./client.js").Client} client @param {string} id */
  constructor(client, id) {
    super(EMPTY_TALK);
    this.client = client;
    this.id = id;
  }

  /** Send text, at once or when there is a way. @param {string} content @param {object} [more] `attachmentIds`, `replyTo`, `type` */
  send = (content, more = {}) => {
    this.#typedAt = 0;
    return this.client.sendMessage({ conversationId: this.id, content, ...more });
  };

  /** Give a message of one's own other words. @param {string} id @param {string} content */
  edit = async (id, content) => this.#merge([await this.client.request("PATCH", `/api/messages/${id}`, { content })]);

  /** Delete a message of one's own; its place stays, as everybody is told. @param {string} id */
  remove = (id) => this.client.request("DELETE", `/api/messages/${id}`);

  /** Somebody is at the keys here. */
  type = () => {
    if (Date.now() - this.#typedAt < TYPING_EVERY) return;
    this.#typedAt = Date.now();
    this.client.typing(this.id, true);
  };

  /** Everything shown was looked at. */
  read = () => {
    const newest = this.state.messages.findLast((message) => message.sender.id !== this.#me());
    if (!newest || newest.id <= this.#readUpTo) return;
    this.#readUpTo = newest.id;
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => {
      // Without a session the request could only fail.
      if (this.client.leaving || !this.#me()) return;
      this.client
        .request("POST", "/api/realtime/messages/read", { conversationId: this.id, upTo: this.#readUpTo })
        .catch(() => (this.#readUpTo = ""));
    }, READ_EVERY / 4);
  };

  /** One page of what was said before. */
  more = async () => {
    const [first] = this.state.messages;
    if (!first || !this.state.older) return;
    const page = await this.client.request("GET", `/api/conversations/${this.id}/messages?before=${first.id}`);
    this.#merge(page.items);
    this.set({ older: page.next !== null });
  };

  /** Fetch the conversation and its newest messages anew. */
  load = async () => {
    this.set({ loading: true });
    try {
      const [conversation, page] = await Promise.all([
        this.client.request("GET", `/api/conversations/${this.id}`),
        this.client.request("GET", `/api/conversations/${this.id}/messages`),
      ]);
      const oldest = page.items.at(-1)?.id ?? "";
      const kept = this.state.messages.filter((message) => message.id < oldest);
      const older = kept.length ? this.state.older : page.next !== null;
      this.set({ conversation, messages: kept, loading: false, older, error: null });
      this.#merge(page.items);
    } catch (error) {
      this.set({ loading: false, error });
    }
  };

  begin() {
    const { client } = this;
    this.#ends = [client.on("*", (event) => this.#hear(event)), client.subscribe(() => this.#pending())];
    this.#pending();
    this.load();
  }

  rest() {
    for (const end of this.#ends) end();
    for (const timer of this.#typists.values()) clearTimeout(timer);
    this.#typists.clear();
    this.set({ typing: [] });
  }

  #me() {
    return this.client.getSnapshot().user?.id;
  }

  #pending() {
    const pending = this.client.getSnapshot().outbox.filter((message) => message.conversationId === this.id);
    if (pending.length || this.state.pending.length) this.set({ pending });
  }

  #hear({ name, data }) {
    if (name === "snapshot" || (name === "status" && data.status === "live" && this.state.error)) this.load();
    if (data?.conversationId !== this.id) return;
    if (name === "message") {
      const { unread: _unread, ...message } = data;
      this.#quiet(message.sender.id);
      this.#merge([message]);
    } else if (name === "typing" && data.userId !== this.#me()) {
      if (data.typing) this.#busy(data.userId, data.expiresIn ?? 8);
      else this.#quiet(data.userId);
    } else if (name === "message_state") {
      this.#note(data);
    }
  }

  #note({ kind, userId, upTo, message, members, muted }) {
    const { conversation, messages } = this.state;
    if (message) return messages.some((known) => known.id === message.id) && this.#merge([message]);
    if (!conversation || members) return this.load();
    const read =
      kind === "read" && conversation.members.map((member) => (member.id === userId ? { ...member, readUpTo: upTo } : member));
    return this.set({
      conversation: { ...conversation, members: read || conversation.members, muted: muted ?? conversation.muted },
    });
  }

  #merge(items) {
    const byId = new Map(this.state.messages.map((message) => [message.id, message]));
    for (const item of items) byId.set(item.id, item);
    this.set({ messages: [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)) });
  }

  #busy(userId, seconds) {
    clearTimeout(this.#typists.get(userId));
    this.#typists.set(
      userId,
      setTimeout(() => this.#quiet(userId), seconds * 1_000),
    );
    this.set({ typing: [...this.#typists.keys()] });
  }

  #quiet(userId) {
    clearTimeout(this.#typists.get(userId));
    if (this.#typists.delete(userId)) this.set({ typing: [...this.#typists.keys()] });
  }
}
