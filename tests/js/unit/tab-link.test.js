/** Tests of the connection between tabs and the Core: state, calls, undelivered events, and the tab that shows toasts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CoreHost, CoreProxy } from "../../../web/client/tab-link.js";
import { FakeHub, settle } from "./fake-hub.js";

/** A host and tabs with these names; messages are copied as structured cloning does. */
async function join(hub, names) {
  const core = await hub.live(hub.pageless());
  const tabs = new Map();
  const copy = (message) => JSON.parse(JSON.stringify(message));
  const host = new CoreHost(core, (message) => {
    for (const { proxy } of tabs.values()) proxy.receive(copy(message));
  });
  const add = (name) => {
    const received = [];
    const tab = { received, posted: [] };
    const respond = (message) => tab.proxy && tab.proxy.receive(copy(message));
    const queue = [];
    const post = (message) => (tab.proxy ? host.receive(message, respond) : queue.push(message));
    tab.proxy = null;
    const proxy = new CoreProxy(name, (message) => post(message), { onChange: () => {}, onEvent: (event) => received.push(event) });
    tab.proxy = proxy;
    for (const message of queue) host.receive(message, respond);
    tabs.set(name, tab);
    return tab;
  };
  return { core, host, add, tabs: names.map(add), all: tabs };
}

test("every tab has the same state, and an unchanged item stays the same object", async () => {
  const hub = new FakeHub();
  const { tabs } = await join(hub, ["a", "b"]);
  hub.arrive("n1");
  hub.arrive("n2");
  await settle();
  const [first, second] = tabs.map(({ proxy }) => proxy.getSnapshot());
  assert.deepEqual(first, second);
  assert.equal(first.inbox.unread, 2);
  hub.send("notification_state", { ids: ["n2"], state: "read", unread: 1, unseen: 1 }, "e1.13");
  await settle();
  const after = tabs[0].proxy.getSnapshot();
  assert.equal(after.inbox.items[1], first.inbox.items[1]);
  assert.notEqual(after.inbox.items[0], first.inbox.items[0]);
});

test("call resolves after its change was sent, and its error keeps code and status", async () => {
  const hub = new FakeHub();
  const {
    tabs: [tab],
  } = await join(hub, ["a"]);
  hub.arrive("n1");
  await settle();
  hub.responses["POST /api/realtime/notifications/read"] = [200, { unread: 0, unseen: 0, undo: "u" }];
  await tab.proxy.call("read", [["n1"]]);
  assert.equal(tab.proxy.getSnapshot().inbox.unread, 0);
  hub.responses["POST /api/realtime/notifications/archive"] = [409, { code: "CONFLICT", message: "No." }];
  await assert.rejects(tab.proxy.call("archive", [["n1"]]), { code: "CONFLICT", status: 409, message: "No." });
});

test("change is visible before the response resolves", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  await settle();
  const order = [];
  const host = new CoreHost(core, ({ patch }) => patch && order.push(`patch, ${patch.inbox?.unread} unread`));
  hub.responses["POST /api/realtime/notifications/read"] = async () => [200, { unread: 0, unseen: 0, undo: null }];
  await host.receive({ call: "read", args: [["n1"]], number: 1 }, () => order.push("answer"));
  await settle();
  assert.deepEqual([order[0], order.at(-1)], ["patch, 0 unread", "answer"]);
});

test("event between two pages is delivered to the next page, once", async () => {
  const hub = new FakeHub();
  const {
    host,
    add,
    tabs: [first],
  } = await join(hub, ["a"]);
  await host.receive({ leave: "a" }, () => {});
  hub.arrive("n1");
  await settle();
  const next = add("b");
  await settle();
  assert.deepEqual(
    next.received.map(({ name, data, frontTab }) => [name, data.id, frontTab]),
    [["notification", "n1", "b"]],
  );
  assert.deepEqual(add("c").received, []);
  assert.ok(first);
});

test("only events that no page showed are repeated after the worker ended", async () => {
  const hub = new FakeHub();
  const { core, all } = await join(hub, ["a"]);
  hub.arrive("n1");
  await settle();
  // The page is being unloaded: it does not process this event, and it has not left yet.
  all.clear();
  hub.arrive("n2");
  hub.responses["POST /api/realtime/notifications/seen"] = [200, { unread: 2, unseen: 1 }];
  await core.seen(["n1"]);
  await settle();
  const next = hub.core();
  const received = [];
  next.onEvent(({ name, data }) => name === "notification" && received.push(data.id));
  await next.start();
  assert.equal(hub.source.cursor, hub.cursor(hub.position - 1));
  hub.send("notification", { ...hub.rows[0], ...hub.counts(), invalidates: [] }, hub.cursor());
  assert.deepEqual(received, ["n2"]);
  assert.deepEqual([next.getSnapshot().inbox.unread, next.getSnapshot().inbox.items.length], [2, 2]);
});

test("tab that was visible last shows toasts while no tab is visible", async () => {
  const hub = new FakeHub();
  const { host, tabs } = await join(hub, ["a", "b"]);
  const fronts = () => tabs[0].received.map(({ frontTab }) => frontTab);
  hub.arrive("n1");
  for (const [tab, visible] of [
    ["a", true],
    ["b", false],
    ["a", false],
  ])
    await host.receive({ tab, visible }, () => {});
  hub.arrive("n2");
  await host.receive({ tab: "b", visible: true }, () => {});
  hub.arrive("n3");
  assert.deepEqual(fronts(), [null, "a", null]);
});

test("calls without a response are left to the next leader", async () => {
  const proxy = new CoreProxy("a", () => {}, { onChange: () => {}, onEvent: () => {} });
  proxy.call("read", [["n1"]]);
  const left = proxy.takePendingCalls();
  assert.deepEqual(
    left.map(({ message }) => [message.call, message.args]),
    [["read", [["n1"]]]],
  );
  assert.deepEqual(proxy.takePendingCalls(), []);
});
