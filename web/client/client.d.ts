/** Types of client.js. */

export type Status = "connecting" | "live" | "offline" | "signed-out";
export type Filter = "all" | "unread" | "jobs" | "messages" | "archived";
export type Category = "job" | "bid" | "hire" | "message" | "comment" | "payment" | "system";
export type Priority = "low" | "normal" | "high" | "urgent";

export interface Person { id: string; name: string }
export interface User extends Person { email: string | null; role: "client" | "freelancer" | "admin"; skills: string[]; createdAt: string }

export interface Action { id: string; label: string; url?: string | null; style: "primary" | "secondary"; done?: boolean }

export interface Notification {
  id: string; type: string; category: Category; priority: Priority; title: string; body: string; data: Record<string, unknown>;
  url: string | null; icon: string | null; actions: Action[]; collapseKey: string | null; count: number;
  createdAt: string; expiresAt: string | null; seenAt: string | null; readAt: string | null; archivedAt: string | null;
}

export interface Attachment { id: string; name: string; type: string; size: number; width: number | null; height: number | null; thumbnail: boolean }

export interface Message {
  id: string; conversationId: string; sender: Person; type: "text" | "image" | "file"; content: string; attachments: Attachment[];
  replyTo: string | null; clientMessageId: string | null; createdAt: string; editedAt: string | null; deletedAt: string | null;
}

export interface Member extends Person { readUpTo: string | null; deliveredUpTo: string | null }

export interface Conversation {
  id: string; kind: "direct" | "group"; title: string | null; members: Member[]; lastMessage: Message | null; unread: number; muted: boolean;
  createdAt: string; updatedAt: string;
}

export interface Job {
  id: string; title: string; description: string; budget: number; currency: string; category: string | null; skills: string[];
  status: "open" | "assigned" | "in_progress" | "submitted" | "completed" | "cancelled" | "expired"; owner: Person; bidCount: number;
  hiredBidId: string | null; hiredAt: string | null; expiresAt: string | null; instantAccept: boolean; createdAt: string; updatedAt: string;
}

export interface Announcement { id: string; title: string; body: string; url: string | null; priority: Priority; createdAt: string; expiresAt: string | null }

export interface NewMessage {
  conversationId?: string; recipientId?: string; content: string; type?: Message["type"]; attachmentIds?: string[]; replyTo?: string; clientMessageId?: string;
}

/** A message that was not sent yet; `error` is the reason if the hub rejected it. */
export interface PendingMessage extends NewMessage { clientMessageId: string; createdAt: number; error: string | null }

export interface Inbox {
  items: Notification[]; unread: number; unseen: number; pages: Record<string, { next: string | null; floor: string }>;
  loaded: boolean; loading: boolean; error: string | null;
  /** When the stored state was last current, ms; null until a state was stored. */
  asOf: number | null;
}

export interface Snapshot {
  status: Status;
  /** undefined until it is known, null without a user */
  user: User | null | undefined;
  inbox: Inbox; announcements: Announcement[]; outbox: PendingMessage[];
  undo: { verb: string; ids: string[]; until: number } | null;
  heartbeat: number | null;
}

export interface HubEvent<Data = any> {
  name: string; data: Data; id: string;
  /** it happened more than a minute before it arrived */
  late: boolean;
  /** this tab shows it to the user */
  show: boolean;
}

export class Problem extends Error {
  status: number; code: string; field: string; more: Record<string, unknown>;
}

export interface Observable<State> {
  getSnapshot(): State;
  subscribe(listener: () => void): () => void;
}

export interface LiveQuery<Data = any> extends Observable<{ data: Data | undefined; loading: boolean; error: Problem | null }> {
  refetch(): Promise<void>;
}

export interface ConversationState {
  conversation: Conversation | null; messages: Message[]; pending: PendingMessage[]; typing: string[]; loading: boolean; older: boolean; error: Problem | null;
}

export interface ConversationStore extends Observable<ConversationState> {
  send(content: string, more?: Partial<NewMessage>): Promise<string>;
  edit(id: string, content: string): Promise<void>;
  remove(id: string): Promise<void>;
  type(): void;
  read(): void;
  more(): Promise<void>;
  load(): Promise<void>;
}

export interface Options {
  /** the hub's origin, if it is not the page's own */
  url?: string;
  /** returns the token of the signed-in user, called before each request; needed on another origin */
  token?: () => Promise<string | null>;
  /** how tabs share one stream; by default the best that the browser supports */
  sharing?: "worker" | "lock" | "tab";
  worker?: string | URL;
  fetch?: typeof fetch;
  EventSource?: typeof EventSource;
  storage?: unknown;
  clock?: { now(): number; setTimeout(act: () => void, ms: number): unknown; clearTimeout(timer: unknown): void };
  random?: () => number;
}

export class Client implements Observable<Snapshot> {
  constructor(options?: Options);
  getSnapshot: () => Snapshot;
  getServerSnapshot: () => Snapshot;
  subscribe: (listener: () => void) => () => void;
  on<Data = any>(name: string, listener: (event: HubEvent<Data>) => void): () => void;
  onInvalidate(listener: (keys: string[]) => void): () => void;
  live<Data = any>(path: string, keys: string[]): LiveQuery<Data>;
  conversation(id: string): ConversationStore;
  request(method: string, path: string, body?: unknown, key?: string): Promise<any>;
  signedIn: (user: User) => Promise<void>;
  logout: () => Promise<void>;
  refresh: () => Promise<void>;
  more: (filter?: Filter) => Promise<void>;
  read: (...ids: string[]) => Promise<void>;
  unread: (...ids: string[]) => Promise<void>;
  seen: (...ids: string[]) => Promise<void>;
  archive: (...ids: string[]) => Promise<void>;
  unarchive: (...ids: string[]) => Promise<void>;
  readAll: () => Promise<void>;
  undo: () => Promise<void>;
  forgetUndo: () => Promise<void>;
  act: (id: string, action: string) => Promise<void>;
  sendMessage: (message: NewMessage) => Promise<string>;
  resend: (clientMessageId: string) => Promise<string | undefined>;
  discard: (clientMessageId: string) => Promise<void>;
  typing: (conversationId: string, typing: boolean) => Promise<void>;
  close(): void;
}

export const FILTERS: Record<Filter, { categories?: Category[] }>;
export const NOBODY: Snapshot;
export function listed(inbox: Inbox, filter: Filter, now?: number): { items: Notification[]; more: boolean };
export function connect(options?: Options): Client;
