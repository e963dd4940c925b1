/** Answers that stay fresh: a list's further pages are part of it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveQuery } from "../../../web/client/live-query.js";

/** A hub with one list of so many things, two to a page; `ask` says that it is old. */
function fakeClient(count) {
  const things = Array.from({ length: count }, (_, at) => ({ id: `t${at}` }));
  const listeners = new Set();
  const asked = [];
  const client = {
    random: () => 0,
    on: () => () => {},
    onInvalidate: (listener) => (listeners.add(listener), () => listeners.delete(listener)),
    async request(_method, path) {
      asked.push(path);
      if (client.broken) throw new Error("away");
      const from = Number(new URL(path, "http://hub").searchParams.get("after") ?? 0);
      const next = from + 2 < things.length ? String(from + 2) : null;
      return { items: things.slice(from, from + 2), next, unread: 7 };
    },
  };
  return { client, things, asked };
}

async function listed(count) {
  const fake = fakeClient(count);
  const live = new LiveQuery(fake.client, "/api/things?limit=2", ["things"]);
  const end = live.subscribe(() => {});
  await live.refetch();
  await new Promise((done) => setImmediate(done));
  return { ...fake, live, end, ids: () => live.getSnapshot().data.items.map(({ id }) => id) };
}

test("the next page is shown below those before it, and what else the list says stays", async () => {
  const { live, ids } = await listed(5);
  assert.deepEqual(ids(), ["t0", "t1"]);
  await live.more();
  assert.deepEqual(ids(), ["t0", "t1", "t2", "t3"]);
  assert.deepEqual([live.getSnapshot().data.next, live.getSnapshot().data.unread], ["4", 7]);
  await live.more();
  assert.deepEqual([ids().length, live.getSnapshot().data.next], [5, null]);
});

test("what was opened of a list stays open when it is fetched again, and knows what is new", async () => {
  const { live, things, ids } = await listed(5);
  await live.more();
  things.unshift({ id: "new" });
  await live.refetch();
  assert.deepEqual(ids(), ["new", "t0", "t1", "t2"]);
});

test("a page that cannot be had is said so, and what is there stays", async () => {
  const { client, live, ids } = await listed(5);
  client.broken = true;
  await assert.rejects(live.more(), /away/);
  assert.deepEqual(ids(), ["t0", "t1"]);
  client.broken = false;
  await live.refetch();
  assert.deepEqual(ids(), ["t0", "t1"]);
});

test("a list that nobody looks at any more begins with its first page again", async () => {
  const { live, end, ids } = await listed(5);
  await live.more();
  end();
  await live.refetch();
  assert.deepEqual(ids(), ["t0", "t1"]);
});
