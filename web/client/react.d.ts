/** Types of react.js. */

import type {
  Client, ConversationState, ConversationStore, Filter, Job, NewMessage, Notification, PendingMessage, Problem, Snapshot, Status, User,
} from "./client.js";

export interface Realtime {
  connected: boolean;
  connectionStatus: Status;
  user: User | null;
  notifications: Notification[];
  unreadNotifications: number;
  unseenNotifications: number;
  outbox: PendingMessage[];
  undoable: Snapshot["undo"];
  sendMessage(message: NewMessage): Promise<string>;
  markNotificationAsRead(id: string): Promise<void>;
  markNotificationAsUnread(id: string): Promise<void>;
  markAllNotificationsAsRead(): Promise<void>;
  archiveNotification(id: string): Promise<void>;
  undo(): Promise<void>;
  pressAction(id: string, action: string): Promise<void>;
  logout(): Promise<void>;
}

export interface Notifications {
  notifications: Notification[];
  hasMore: boolean;
  loadMore(): Promise<void>;
  loading: boolean;
  error: string | null;
  unread: number;
  unseen: number;
  connectionStatus: Status;
}

export type ConversationHook = ConversationState & {
  send?: ConversationStore["send"];
  edit?: ConversationStore["edit"];
  remove?: ConversationStore["remove"];
  type?: ConversationStore["type"];
  read?: ConversationStore["read"];
  loadOlder?: ConversationStore["more"];
};

export interface JobFilter {
  status?: Job["status"]; category?: string; skills?: string; minBudget?: number; maxBudget?: number; q?: string; mine?: boolean; limit?: number;
}

export interface Hooks {
  useRealtime(): Realtime;
  useNotifications(filter?: Filter): Notifications;
  useConversation(id: string): ConversationHook;
  useJobs(filter?: JobFilter): { jobs: Job[]; loading: boolean; error: Problem | null; connectionStatus: Status; refetch?: () => Promise<void> };
}

/** The React module of the page, 18 or newer. */
export function bind(React: any, client?: Client): Hooks;

/** Invalidates queries of TanStack Query when events invalidate their keys. */
export function followInvalidations(client: Client, queryClient: { invalidateQueries(filters: object): unknown }): () => void;
