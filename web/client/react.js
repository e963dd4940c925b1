/**
 * React hooks on the same store. React is the page's own: `const hooks = bind(React)`, once.
 * They read by useSyncExternalStore, so they are safe in StrictMode, in transitions and on a server.
 */

import { EMPTY_TALK, NOBODY, UNKNOWN, connect, listed } from "./client.js";

/** @param {any} React the page's React, 18 or newer @param {any} [client] the page's own client, if it made one */
export function bind(React, client) {
  const { useCallback, useMemo, useSyncExternalStore } = React;
  // On a server there is nobody to connect as: every hook gives what is known of nobody.
  const hub = () => (client ??= globalThis.document ? connect() : null);

  /** The store itself; the empty one on a server. */
  function useSnapshot() {
    const subscribe = useCallback((listener) => hub()?.subscribe(listener) ?? (() => {}), []);
    return useSyncExternalStore(
      subscribe,
      () => hub()?.getSnapshot() ?? NOBODY,
      () => NOBODY,
    );
  }

  /** Something with `subscribe` and `getSnapshot`; `make` is called again when one of `keys` changes. */
  function useStore(make, keys, empty) {
    const store = useMemo(() => (hub() ? make(hub()) : null), keys);
    const subscribe = useCallback((listener) => store?.subscribe(listener) ?? (() => {}), [store]);
    return [
      useSyncExternalStore(
        subscribe,
        () => store?.getSnapshot() ?? empty,
        () => empty,
      ),
      store,
    ];
  }

  /** Everything at once: `{connected, notifications, unreadNotifications, sendMessage, markNotificationAsRead, …}`. */
  function useRealtime() {
    const state = useSnapshot();
    return useMemo(() => {
      const { status, user, inbox, outbox, undo } = state;
      return {
        connected: status === "live",
        connectionStatus: status,
        user: user ?? null,
        notifications: listed(inbox, "all").items,
        unreadNotifications: inbox.unread,
        unseenNotifications: inbox.unseen,
        outbox,
        undoable: undo,
        ...acts(hub),
      };
    }, [state]);
  }

  /** One filter's list: "all", "unread", "jobs", "messages" or "archived". @param {string} [filter] */
  function useNotifications(filter = "all") {
    const state = useSnapshot();
    return useMemo(() => {
      const { inbox, status } = state;
      const { items, more } = listed(inbox, filter);
      return {
        notifications: items,
        hasMore: more,
        loadMore: () => hub().more(filter),
        loading: inbox.loading || !inbox.loaded,
        error: inbox.error,
        unread: inbox.unread,
        unseen: inbox.unseen,
        connectionStatus: status,
      };
    }, [state, filter]);
  }

  /** A conversation with its messages, who is typing, and `send`, `edit`, `remove`. @param {string} id */
  function useConversation(id) {
    const [state, store] = useStore((each) => each.conversation(id), [id], EMPTY_TALK);
    return useMemo(() => {
      const { send, edit, remove, type, read, more: loadOlder } = store ?? {};
      return { ...state, send, edit, remove, type, read, loadOlder };
    }, [state, store]);
  }

  /** Jobs, live. @param {Record<string, any>} [filter] `status`, `category`, `skills`, `minBudget`, `maxBudget`, `q`, `mine` */
  function useJobs(filter = {}) {
    const query = new URLSearchParams(
      Object.entries(filter)
        .filter(([, value]) => value !== undefined && value !== "")
        .map(([name, value]) => [name, String(value)]),
    ).toString();
    const [{ data, loading, error }, store] = useStore((each) => each.live(`/api/jobs?${query}`, ["jobs"]), [query], UNKNOWN);
    const { status } = useSnapshot();
    return useMemo(
      () => ({ jobs: data?.items ?? [], loading, error, connectionStatus: status, refetch: store?.refetch }),
      [data, loading, error, status, store],
    );
  }

  return { useRealtime, useNotifications, useConversation, useJobs };
}

function acts(hub) {
  return {
    sendMessage: (message) => hub().sendMessage(message),
    markNotificationAsRead: (id) => hub().read(id),
    markNotificationAsUnread: (id) => hub().unread(id),
    markAllNotificationsAsRead: () => hub().readAll(),
    archiveNotification: (id) => hub().archive(id),
    undo: () => hub().undo(),
    pressAction: (id, action) => hub().act(id, action),
    logout: () => hub().logout(),
  };
}

/**
 * TanStack Query follows: what an event made old is fetched again. One line: `followInvalidations(client, queryClient)`.
 * A key of ours, "job/123", is theirs as ["job", "123"].
 * @param {any} client @param {any} queryClient @returns {() => void} stops it
 */
export const followInvalidations = (client, queryClient) =>
  client.onInvalidate((keys) =>
    keys.forEach((key) => queryClient.invalidateQueries(key === "*" ? {} : { queryKey: key.split("/") })),
  );
