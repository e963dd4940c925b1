/** Tests of live queries: further pages are part of the list. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveQuery } from "../../../web/client/live-query.js";

/** A client of a hub with one list, two items per page. */
function fakeClient(count) {
  const things = Array.from({ length: count }, (_, index) => ({ id: `t${index}` }));
  const listeners = new Set();
  const client = {
    random: () => 0,
    on: () => () => {},
    onInvalidate: (listener) => (listeners.add(listener), () => listeners.delete(listener)),
    async request(_method, path) {
      if (client.broken) throw new Error("away");
      const from = Number(new URL(path, "http://hub").searchParams.get("after") ?? 0);
      const next = from + 2 < things.length ? String(from + 2) : null;
      return { items: things.slice(from, from + 2), next, unread: 7 };
    },
  };
  return { client, things };
}

async function listed(count) {
  const fake = fakeClient(count);
  const live = new LiveQuery(fake.client, "/api/things?limit=2", ["things"]);
  const unsubscribe = live.subscribe(() => {});
  await live.refetch();
  await new Promise((done) => setImmediate(done));
  return { ...fake, live, unsubscribe, ids: () => live.getSnapshot().data.items.map(({ id }) => id) };
}

test("next page is appended, and other members of the response stay", async () => {
  const { live, ids } = await listed(5);
  assert.deepEqual(ids(), ["t0", "t1"]);
  await live.more();
  assert.deepEqual(ids(), ["t0", "t1", "t2", "t3"]);
  assert.deepEqual([live.getSnapshot().data.next, live.getSnapshot().data.unread], ["4", 7]);
  await live.more();
  assert.deepEqual([ids().length, live.getSnapshot().data.next], [5, null]);
});

test("fetched pages are kept and updated when the list is fetched again", async () => {
  const { live, things, ids } = await listed(5);
  await live.more();
  things.unshift({ id: "new" });
  await live.refetch();
  assert.deepEqual(ids(), ["new", "t0", "t1", "t2"]);
});

test("page that cannot be fetched rejects, and the list stays", async () => {
  const { client, live, ids } = await listed(5);
  client.broken = true;
  await assert.rejects(live.more(), /away/);
  assert.deepEqual(ids(), ["t0", "t1"]);
  client.broken = false;
  await live.refetch();
  assert.deepEqual(ids(), ["t0", "t1"]);
});

test("list without subscribers starts at its first page again", async () => {
  const { live, unsubscribe, ids } = await listed(5);
  await live.more();
  unsubscribe();
  await live.refetch();
  assert.deepEqual(ids(), ["t0", "t1"]);
});
