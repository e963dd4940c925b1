/** Tests of the hooks in the real React: StrictMode, a server, unmounting, TanStack Query. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { QueryClient, QueryObserver } from "@tanstack/react-query";
import * as React from "react";
import { renderToString } from "react-dom/server";
import { act, create } from "react-test-renderer";
import { Client } from "../../../web/client/client.js";
import { bind, followInvalidations } from "../../../web/client/react.js";
import { Storage } from "../../../web/client/indexed-db.js";
import { FakeHub, settle } from "./fake-hub.js";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const errors = [];
console.error = (...parts) => errors.push(parts.join(" "));
afterEach(() =>
  assert.deepEqual(
    errors.filter((line) => !line.includes("react-test-renderer is deprecated")),
    [],
  ),
);

async function open(hub = new FakeHub()) {
  const { clock } = hub;
  const client = new Client({
    clock,
    fetch: hub.fetch,
    EventSource: hub.EventSource,
    storage: new Storage("", hub.indexedDB),
    random: () => 0,
    sharing: "tab",
  });
  await settle();
  hub.confirm();
  await settle();
  return { hub, client, hooks: bind(React, client) };
}

/** Mount a component that only calls `hook`; `last()` is its last result, `renders()` the number of calls. */
async function mount(hook) {
  const results = [];
  const Probe = () => {
    results.push(hook());
    return null;
  };
  let root;
  await act(async () => {
    root = create(React.createElement(React.StrictMode, null, React.createElement(Probe)));
    await settle();
  });
  return { last: () => results.at(-1), renders: () => results.length, unmount: () => act(async () => root.unmount()) };
}

test("useRealtime follows the store and its actions change it at once", async () => {
  const { hub, hooks } = await open();
  const shown = await mount(hooks.useRealtime);
  assert.deepEqual([shown.last().connected, shown.last().user.name, shown.last().unreadNotifications], [true, "Ann", 0]);
  await act(async () => {
    hub.arrive("n1");
    await settle();
  });
  assert.deepEqual([shown.last().unreadNotifications, shown.last().notifications.map(({ id }) => id)], [1, ["n1"]]);
  hub.responses["POST /api/realtime/notifications/read"] = [200, { unread: 0, unseen: 0, undo: "u" }];
  await act(async () => {
    await shown.last().markNotificationAsRead("n1");
    await settle();
  });
  assert.equal(shown.last().unreadNotifications, 0);
  await shown.unmount();
});

test("component renders again only after changes, and never after unmounting", async () => {
  const { hub, hooks, client } = await open();
  const shown = await mount(() => hooks.useNotifications("jobs"));
  const before = shown.renders();
  await act(async () => {
    client.getSnapshot();
    await settle();
  });
  assert.equal(shown.renders(), before);
  await shown.unmount();
  hub.arrive("n1");
  await settle();
  assert.equal(shown.renders(), before);
});

test("useNotifications returns one filter's list, with counts of the whole inbox", async () => {
  const { hub, hooks } = await open();
  const shown = await mount(() => hooks.useNotifications("jobs"));
  await act(async () => {
    hub.arrive("n1", { category: "job" });
    hub.arrive("n2", { category: "system" });
    await settle();
  });
  assert.deepEqual([shown.last().notifications.map(({ id }) => id), shown.last().unread, shown.last().hasMore], [["n1"], 2, false]);
  await shown.unmount();
});

test("useJobs is live: an event changes a job in place, and the list is refetched", async () => {
  const hub = new FakeHub();
  const job = { id: "j1", title: "A logo", budget: 100, status: "open", skills: [] };
  hub.responses["GET /api/jobs"] = () => [200, { items: [job], next: null }];
  const { hooks } = await open(hub);
  const shown = await mount(() => hooks.useJobs({ status: "open" }));
  // StrictMode subscribes twice, which sends two requests.
  await act(async () => new Promise((resolve) => setTimeout(resolve, 150)));
  const requests = () => hub.requests.filter(({ url }) => url.startsWith("/api/jobs?status=open")).length;
  const before = requests();
  assert.deepEqual([shown.last().jobs.length, shown.last().loading, shown.last().connectionStatus], [1, false, "live"]);
  await act(async () => {
    hub.position += 1;
    hub.send("job_updated", { ...job, budget: 200, invalidates: ["jobs", "job/j1"] }, hub.cursor());
    await settle();
  });
  assert.equal(shown.last().jobs[0].budget, 200);
  await act(async () => new Promise((resolve) => setTimeout(resolve, 100)));
  assert.equal(requests(), before + 1);
  await shown.unmount();
});

test("useJobs returns the error of a failed request", async () => {
  const hub = new FakeHub();
  hub.responses["GET /api/jobs"] = [503, { code: "OVERLOADED", message: "Later." }];
  const { hooks } = await open(hub);
  const shown = await mount(() => hooks.useJobs());
  assert.deepEqual([shown.last().jobs, shown.last().error.message], [[], "Later."]);
  await shown.unmount();
});

test("useConversation shows a message once: pending, sent and received", async () => {
  const hub = new FakeHub();
  const people = [
    { id: "ann", name: "Ann" },
    { id: "bob", name: "Bob" },
  ];
  hub.responses["GET /api/conversations/c1"] = [200, { id: "c1", kind: "direct", members: people, unread: 0, muted: false }];
  hub.responses["GET /api/conversations/c1/messages"] = [200, { items: [], next: null }];
  hub.responses["POST /api/realtime/messages/send"] = ({ body }) => [
    201,
    { id: "m1", ...body, sender: people[0], createdAt: "now", attachments: [] },
  ];
  const { hooks } = await open(hub);
  const shown = await mount(() => hooks.useConversation("c1"));
  let sending;
  await act(async () => {
    sending = shown.last().send("Hello");
  });
  await act(async () => {
    await sending;
    await settle();
  });
  const sent = hub.requests.find(({ path }) => path.endsWith("/messages/send")).body;
  await act(async () => {
    hub.position += 1;
    hub.send("message", { id: "m1", ...sent, sender: people[0], createdAt: "now", attachments: [], unread: 0 }, hub.cursor());
    await settle();
  });
  assert.deepEqual([shown.last().messages.map(({ content }) => content), shown.last().pending], [["Hello"], []]);
  await shown.unmount();
});

test("every hook returns the empty state on a server", () => {
  const hooks = bind(React);
  const Page = () => {
    const { connected, notifications } = hooks.useRealtime();
    const { jobs, loading } = hooks.useJobs();
    return React.createElement("p", null, JSON.stringify([connected, notifications, jobs, loading]));
  };
  assert.match(renderToString(React.createElement(Page)), /\[false,\[\],\[\],true\]/);
});

test("TanStack Query refetches what an event invalidates, all after a reset", async () => {
  const { hub, client } = await open();
  const queries = new QueryClient();
  let fetched = 0;
  const observer = new QueryObserver(queries, {
    queryKey: ["job", "j1"],
    queryFn: async () => (fetched += 1),
    staleTime: Infinity,
  });
  const unsubscribe = observer.subscribe(() => {});
  await settle();
  const stop = followInvalidations(client, queries);
  hub.position += 1;
  hub.send("job_updated", { id: "j2", invalidates: ["job/j2"] }, hub.cursor());
  await settle();
  assert.equal(fetched, 1);
  hub.position += 1;
  hub.send("job_updated", { id: "j1", invalidates: ["jobs", "job/j1"] }, hub.cursor());
  await settle();
  assert.equal(fetched, 2);
  hub.send("reset", { reason: "trimmed", cursor: hub.cursor() }, hub.cursor());
  await settle();
  assert.equal(fetched, 3);
  stop();
  unsubscribe();
  queries.clear();
});
