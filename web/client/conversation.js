/** One conversation: messages, pending, typing, receipts. */

import { Observable } from "./observable.js";

/** The state before anything is known. */
export const EMPTY_CONVERSATION = Object.freeze({
  conversation: null,
  messages: [],
  pending: [],
  typing: [],
  loading: true,
  older: false,
  error: null,
});
/** Typing is reported at most this often. */
const TYPING_INTERVAL_MS = 3_000;
/** Messages read within this time are reported by one receipt. */
const READ_DELAY_MS = 250;

export class Conversation extends Observable {
  #subscriptions = [];
  #typing = new Map();
  #typingSentAt = 0;
  #readUpTo = "";
  #readTimer;

  /** @param {import("./client.js").Client} client @param {string} id */
  constructor(client, id) {
    super(EMPTY_CONVERSATION);
    this.client = client;
    this.id = id;
  }

  /** Send a message now, or as soon as the hub can be reached. @param {string} content @param {object} [more] `attachmentIds`, `replyTo`, `type` */
  send = (content, more = {}) => {
    this.#typingSentAt = 0;
    return this.client.sendMessage({ conversationId: this.id, content, ...more });
  };

  /** Edit your message. @param {string} id @param {string} content */
  edit = async (id, content) => this.#merge([await this.client.request("PATCH", `/api/messages/${id}`, { content })]);

  /** Delete your message; members see that it was deleted. @param {string} id */
  remove = (id) => this.client.request("DELETE", `/api/messages/${id}`);

  /** Report that the user is typing. */
  type = () => {
    if (Date.now() - this.#typingSentAt < TYPING_INTERVAL_MS) return;
    this.#typingSentAt = Date.now();
    this.client.typing(this.id, true);
  };

  /** Mark everything that is shown as read. */
  read = () => {
    const newest = this.state.messages.findLast((message) => message.sender.id !== this.#userId());
    if (!newest || newest.id <= this.#readUpTo) return;
    this.#readUpTo = newest.id;
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => {
      // Without a session the request could only fail.
      if (this.client.leaving || !this.#userId()) return;
      this.client
        .request("POST", "/api/realtime/messages/read", { conversationId: this.id, upTo: this.#readUpTo })
        .catch(() => (this.#readUpTo = ""));
    }, READ_DELAY_MS);
  };

  /** Fetch one page of older messages. */
  more = async () => {
    const [first] = this.state.messages;
    if (!first || !this.state.older) return;
    const page = await this.client.request("GET", `/api/conversations/${this.id}/messages?before=${first.id}`);
    this.#merge(page.items);
    this.set({ older: page.next !== null });
  };

  /** Fetch the conversation and its newest messages. */
  load = async () => {
    this.set({ loading: true });
    try {
      const [conversation, page] = await Promise.all([
        this.client.request("GET", `/api/conversations/${this.id}`),
        this.client.request("GET", `/api/conversations/${this.id}/messages`),
      ]);
      const oldest = page.items.at(-1)?.id ?? "";
      const loaded = this.state.messages.filter((message) => message.id < oldest);
      const older = loaded.length ? this.state.older : page.next !== null;
      this.set({ conversation, messages: loaded, loading: false, older, error: null });
      this.#merge(page.items);
    } catch (error) {
      this.set({ loading: false, error });
    }
  };

  activate() {
    const { client } = this;
    this.#subscriptions = [client.on("*", (event) => this.#receive(event)), client.subscribe(() => this.#updatePending())];
    this.#updatePending();
    this.load();
  }

  deactivate() {
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    for (const timer of this.#typing.values()) clearTimeout(timer);
    this.#typing.clear();
    this.set({ typing: [] });
  }

  #userId() {
    return this.client.getSnapshot().user?.id;
  }

  #updatePending() {
    const pending = this.client.getSnapshot().outbox.filter((message) => message.conversationId === this.id);
    if (pending.length || this.state.pending.length) this.set({ pending });
  }

  #receive({ name, data }) {
    if (name === "snapshot" || (name === "status" && data.status === "live" && this.state.error)) this.load();
    if (data?.conversationId !== this.id) return;
    if (name === "message") {
      const { unread: _unread, ...message } = data;
      this.#stopTyping(message.sender.id);
      this.#merge([message]);
    } else if (name === "typing" && data.userId !== this.#userId()) {
      if (data.typing) this.#startTyping(data.userId, data.expiresIn ?? 8);
      else this.#stopTyping(data.userId);
    } else if (name === "message_state") {
      this.#applyState(data);
    }
  }

  #applyState({ kind, userId, upTo, message, members, muted }) {
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

  #startTyping(userId, seconds) {
    clearTimeout(this.#typing.get(userId));
    this.#typing.set(
      userId,
      setTimeout(() => this.#stopTyping(userId), seconds * 1_000),
    );
    this.set({ typing: [...this.#typing.keys()] });
  }

  #stopTyping(userId) {
    clearTimeout(this.#typing.get(userId));
    if (this.#typing.delete(userId)) this.set({ typing: [...this.#typing.keys()] });
  }
}
