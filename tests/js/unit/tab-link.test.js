/** Between the one Core and the tabs: copies, calls, what comes between two pages, and who shows a toast. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Host, Mirror } from "../../../web/client/tab-link.js";
import { World, settle } from "./fake-hub.js";

/** A host and as many tabs as asked for, joined by what structured cloning would do. */
async function join(world, names) {
  const core = await world.live(world.pageless());
  const tabs = new Map();
  const copy = (message) => JSON.parse(JSON.stringify(message));
  const host = new Host(core, (message) => {
    for (const { mirror } of tabs.values()) mirror.take(copy(message));
  });
  const add = (name) => {
    const heard = [];
    const tab = { heard, posted: [] };
    const answer = (message) => tab.mirror && tab.mirror.take(copy(message));
    const queue = [];
    const post = (message) => (tab.mirror ? host.take(message, answer) : queue.push(message));
    tab.mirror = null;
    const mirror = new Mirror(name, (message) => post(message), { changed: () => {}, event: (event) => heard.push(event) });
    tab.mirror = mirror;
    for (const message of queue) host.take(message, answer);
    tabs.set(name, tab);
    return tab;
  };
  return { core, host, add, tabs: names.map(add), all: tabs };
}

test("every tab has the same state, and an unchanged item stays the same object", async () => {
  const world = new World();
  const { tabs } = await join(world, ["a", "b"]);
  world.arrive("n1");
  world.arrive("n2");
  await settle();
  const [first, second] = tabs.map(({ mirror }) => mirror.getSnapshot());
  assert.deepEqual(first, second);
  assert.equal(first.inbox.unread, 2);
  world.tell("notification_state", { ids: ["n2"], state: "read", unread: 1, unseen: 1 }, "e1.13");
  await settle();
  const after = tabs[0].mirror.getSnapshot();
  assert.equal(after.inbox.items[1], first.inbox.items[1]);
  assert.notEqual(after.inbox.items[0], first.inbox.items[0]);
});

test("a call is answered after the change it made is told, and its error keeps code and status", async () => {
  const world = new World();
  const {
    tabs: [tab],
  } = await join(world, ["a"]);
  world.arrive("n1");
  await settle();
  world.answers["POST /api/realtime/notifications/read"] = [200, { unread: 0, unseen: 0, undo: "u" }];
  await tab.mirror.call("read", [["n1"]]);
  assert.equal(tab.mirror.getSnapshot().inbox.unread, 0);
  world.answers["POST /api/realtime/notifications/archive"] = [409, { code: "CONFLICT", message: "No." }];
  await assert.rejects(tab.mirror.call("archive", [["n1"]]), { code: "CONFLICT", status: 409, message: "No." });
});

test("the change stands before the answer, for who looks at once", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  await settle();
  const order = [];
  const host = new Host(core, ({ patch }) => patch && order.push(`patch, ${patch.inbox?.unread} unread`));
  world.answers["POST /api/realtime/notifications/read"] = async () => [200, { unread: 0, unseen: 0, undo: null }];
  await host.take({ call: "read", args: [["n1"]], number: 1 }, () => order.push("answer"));
  await settle();
  assert.deepEqual([order[0], order.at(-1)], ["patch, 0 unread", "answer"]);
});

test("what comes between two pages is told to the next one, once", async () => {
  const world = new World();
  const {
    host,
    add,
    tabs: [first],
  } = await join(world, ["a"]);
  await host.take({ bye: "a" }, () => {});
  world.arrive("n1");
  await settle();
  const next = add("b");
  await settle();
  assert.deepEqual(
    next.heard.map(({ name, data, front }) => [name, data.id, front]),
    [["notification", "n1", "b"]],
  );
  assert.deepEqual(add("c").heard, []);
  assert.ok(first);
});

test("what no page heard is told again after the worker has ended, and what one heard is not", async () => {
  const world = new World();
  const { core, all } = await join(world, ["a"]);
  world.arrive("n1");
  await settle();
  // The page is leaving: what is told to it now is heard by nobody, and it has not said goodbye yet.
  all.clear();
  world.arrive("n2");
  world.answers["POST /api/realtime/notifications/seen"] = [200, { unread: 2, unseen: 1 }];
  await core.seen(["n1"]);
  await settle();
  const next = world.core();
  const heard = [];
  next.onEvent(({ name, data }) => name === "notification" && heard.push(data.id));
  await next.start();
  assert.equal(world.source.cursor, world.cursor(world.position - 1));
  world.tell("notification", { ...world.rows[0], ...world.counts(), invalidates: [] }, world.cursor());
  assert.deepEqual(heard, ["n2"]);
  assert.deepEqual([next.getSnapshot().inbox.unread, next.getSnapshot().inbox.items.length], [2, 2]);
});

test("while no tab is visible the one seen last shows what is toasted", async () => {
  const world = new World();
  const { host, tabs } = await join(world, ["a", "b"]);
  const fronts = () => tabs[0].heard.map(({ front }) => front);
  world.arrive("n1");
  for (const [tab, visible] of [
    ["a", true],
    ["b", false],
    ["a", false],
  ])
    await host.take({ tab, visible }, () => {});
  world.arrive("n2");
  await host.take({ tab: "b", visible: true }, () => {});
  world.arrive("n3");
  assert.deepEqual(fronts(), [null, "a", null]);
});

test("what was asked and not answered is left over for who leads next", async () => {
  const mirror = new Mirror("a", () => {}, { changed: () => {}, event: () => {} });
  mirror.call("read", [["n1"]]);
  const left = mirror.leftOver();
  assert.deepEqual(
    left.map(({ message }) => [message.call, message.args]),
    [["read", [["n1"]]]],
  );
  assert.deepEqual(mirror.leftOver(), []);
});
