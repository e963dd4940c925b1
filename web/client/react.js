/** React hooks over the store. */
// The page passes its own React: `const hooks = bind(React)`, once. The hooks use useSyncExternalStore, so that they are safe
// in StrictMode, in transitions and on a server.

import { EMPTY_CONVERSATION, NOBODY, UNKNOWN, connect, listed } from "./client.js";

/** @param {any} React the page's React, 18 or newer @param {any} [client] the page's client, if it created one */
export function bind(React, client) {
  const { useCallback, useMemo, useSyncExternalStore } = React;
  // On a server there is no user: every hook returns the empty state.
  const hub = () => (client ??= globalThis.document ? connect() : null);

  /** The state of the client; the empty one on a server. */
  function useSnapshot() {
    const subscribe = useCallback((listener) => hub()?.subscribe(listener) ?? (() => {}), []);
    return useSyncExternalStore(
      subscribe,
      () => hub()?.getSnapshot() ?? NOBODY,
      () => NOBODY,
    );
  }

  /** The state of an observable and the observable; `create` is called again when one of `keys` changes. */
  function useObservable(create, keys, empty) {
    const store = useMemo(() => (hub() ? create(hub()) : null), keys);
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

  /** Everything in one object: `{connected, notifications, unreadNotifications, sendMessage, markNotificationAsRead, …}`. */
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
        ...actions(hub),
      };
    }, [state]);
  }

  /** The list of one filter: "all", "unread", "jobs", "messages" or "archived". @param {string} [filter] */
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

  /** A conversation with its messages, the typing members, and `send`, `edit`, `remove`. @param {string} id */
  function useConversation(id) {
    const [state, store] = useObservable((each) => each.conversation(id), [id], EMPTY_CONVERSATION);
    return useMemo(() => {
      const { send, edit, remove, type, read, more: loadOlder } = store ?? {};
      return { ...state, send, edit, remove, type, read, loadOlder };
    }, [state, store]);
  }

  /** A list of jobs that follows events. @param {Record<string, any>} [filter] `status`, `category`, `skills`, `minBudget`, `maxBudget`, `q`, `mine` */
  function useJobs(filter = {}) {
    const query = new URLSearchParams(
      Object.entries(filter)
        .filter(([, value]) => value !== undefined && value !== "")
        .map(([name, value]) => [name, String(value)]),
    ).toString();
    const [{ data, loading, error }, store] = useObservable((each) => each.live(`/api/jobs?${query}`, ["jobs"]), [query], UNKNOWN);
    const { status } = useSnapshot();
    return useMemo(
      () => ({ jobs: data?.items ?? [], loading, error, connectionStatus: status, refetch: store?.refetch }),
      [data, loading, error, status, store],
    );
  }

  return { useRealtime, useNotifications, useConversation, useJobs };
}

function actions(hub) {
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
 * Invalidate queries of TanStack Query when events invalidate their keys. The key "job/123" is the query key ["job", "123"].
 * @param {any} client @param {any} queryClient @returns {() => void} unsubscribes
 */
export const followInvalidations = (client, queryClient) =>
  client.onInvalidate((keys) =>
    keys.forEach((key) => queryClient.invalidateQueries(key === "*" ? {} : { queryKey: key.split("/") })),
  );
