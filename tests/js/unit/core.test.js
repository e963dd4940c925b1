/** Tests of the Core without a browser: the state follows from what the hub sent, whatever the order. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { listed } from "../../../web/client/inbox.js";
import { Storage } from "../../../web/client/indexed-db.js";
import { FakeHub, deferred, settle } from "./fake-hub.js";

const ids = (core) => core.getSnapshot().inbox.items.map((item) => item.id);
const counts = (core) => [core.getSnapshot().inbox.unread, core.getSnapshot().inbox.unseen];
const statuses = (core) => {
  const seen = [];
  core.subscribe(() => core.getSnapshot().status !== seen.at(-1) && seen.push(core.getSnapshot().status));
  return seen;
};

test("stream is opened at the cursor of the inbox, so that no event is missed", async () => {
  const hub = new FakeHub();
  hub.notify("n1");
  const core = await hub.live();
  assert.equal(hub.source.cursor, hub.cursor());
  assert.deepEqual(ids(core), ["n1"]);
  assert.equal(core.getSnapshot().status, "live");
});

test("event is applied once, however often it arrives", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  const received = [];
  core.onEvent(({ name }) => name === "notification" && received.push(name));
  const [data, cursor] = hub.notify("n1");
  hub.send("notification", data, cursor);
  hub.send("notification", data, cursor);
  assert.equal(received.length, 1);
  assert.deepEqual(counts(core), [1, 1]);
});

test("snapshot keeps its identity as long as nothing changed", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  hub.arrive("n2");
  const before = core.getSnapshot();
  assert.equal(core.getSnapshot(), before);
  core.read(["n1"]).catch(() => {});
  const after = core.getSnapshot();
  assert.notEqual(after, before);
  assert.equal(after.inbox.items[0], before.inbox.items[0]);
});

test("read is shown at once and rolled back when the hub rejects it", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  const { response, release } = deferred();
  hub.responses["POST /api/realtime/notifications/read"] = response;
  const reading = core.read(["n1"]);
  assert.deepEqual(counts(core), [0, 0]);
  assert.ok(core.getSnapshot().inbox.items[0].readAt);
  release([503, { code: "OVERLOADED", message: "Later." }]);
  await assert.rejects(reading, { code: "OVERLOADED" });
  assert.deepEqual(counts(core), [1, 1]);
  assert.equal(core.getSnapshot().inbox.items[0].readAt, null);
});

test("event and response of a change are counted once, in either order", async () => {
  for (const eventFirst of [true, false]) {
    const hub = new FakeHub();
    const core = await hub.live();
    hub.arrive("n1");
    hub.arrive("n2");
    const { response, release } = deferred();
    hub.responses["POST /api/realtime/notifications/read"] = response;
    const reading = core.read(["n1"]);
    await settle();
    hub.rows.find((row) => row.id === "n1").readAt = "now";
    hub.rows.find((row) => row.id === "n1").seenAt = "now";
    hub.position += 1;
    const sendEvent = () => hub.send("notification_state", { ids: ["n1"], state: "read", ...hub.counts() }, hub.cursor());
    if (eventFirst) sendEvent();
    assert.deepEqual(counts(core), [1, 1]);
    release([200, { ...hub.counts(), undo: "u1" }]);
    await reading;
    assert.deepEqual(counts(core), [1, 1]);
    if (!eventFirst) sendEvent();
    assert.deepEqual(counts(core), [1, 1]);
  }
});

test("mark all read leaves items that arrive during the request", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  hub.arrive("n2");
  const { response, release } = deferred();
  hub.responses["POST /api/realtime/notifications/read"] = response;
  const reading = core.readAll();
  hub.arrive("n3");
  assert.deepEqual(counts(core), [1, 1]);
  release([200, { unread: 1, unseen: 1, undo: "u1" }]);
  await reading;
  assert.deepEqual(counts(core), [1, 1]);
  assert.equal(hub.requests.at(-1).body.before, "n2");
});

test("mark all read counts items below the fetched pages, too", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  hub.send("notification", { ...hub.row("n2"), unread: 40, unseen: 40, invalidates: [] }, "e1.12");
  hub.responses["POST /api/realtime/notifications/read"] = [200, { unread: 0, unseen: 0, undo: "u1" }];
  await core.readAll();
  assert.deepEqual(counts(core), [0, 0]);
});

test("undo reverses exactly the last change", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1", { readAt: "before", seenAt: "before" });
  hub.arrive("n2");
  hub.responses["POST /api/realtime/notifications/archive"] = [200, { unread: 0, unseen: 0, undo: "u1" }];
  hub.responses["POST /api/realtime/notifications/undo"] = [200, { unread: 1, unseen: 1, undo: null }];
  const archiving = core.archive(["n2"]);
  assert.deepEqual(
    listed(core.getSnapshot().inbox, "all", hub.clock.time).items.map((item) => item.id),
    ["n1"],
  );
  await archiving;
  await core.undo();
  assert.deepEqual(
    listed(core.getSnapshot().inbox, "all", hub.clock.time).items.map((item) => item.id),
    ["n2", "n1"],
  );
  assert.deepEqual(counts(core), [1, 1]);
  assert.deepEqual(hub.requests.at(-1).body, { undo: "u1" });
});

test("undo before the response waits for the response", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  const { response, release } = deferred();
  hub.responses["POST /api/realtime/notifications/read"] = response;
  hub.responses["POST /api/realtime/notifications/undo"] = [200, { unread: 1, unseen: 1, undo: null }];
  core.read(["n1"]);
  const undoing = core.undo();
  release([200, { unread: 0, unseen: 0, undo: "u9" }]);
  await undoing;
  assert.deepEqual(hub.requests.at(-1).body, { undo: "u9" });
  assert.deepEqual(counts(core), [1, 1]);
});

test("pressed button stays pressed, and is released when the request fails", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1", { actions: [{ id: "yes", label: "Yes", style: "primary" }] });
  const done = () => Boolean(core.getSnapshot().inbox.items[0].actions[0].done);
  hub.responses["POST /api/notifications/n1/actions/yes"] = "down";
  const failing = core.act("n1", "yes");
  assert.equal(done(), true);
  await assert.rejects(failing);
  assert.equal(done(), false);
  hub.responses["POST /api/notifications/n1/actions/yes"] = [200, {}];
  await core.act("n1", "yes");
  assert.equal(done(), true);
});

test("changes of another device are applied, a retracted item is removed", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  for (const id of ["n1", "n2", "n3"]) hub.arrive(id);
  hub.send("notification_state", { ids: ["n2"], state: "retracted", unread: 2, unseen: 2 }, "e1.14");
  hub.send("notification_state", { all: true, before: "n1", state: "read", unread: 1, unseen: 1 }, "e1.15");
  assert.deepEqual(ids(core), ["n3", "n1"]);
  assert.ok(core.getSnapshot().inbox.items[1].readAt);
  assert.deepEqual(counts(core), [1, 1]);
});

test("reloaded page continues from the stored state without fetching the list", async () => {
  const hub = new FakeHub();
  const first = await hub.live();
  hub.arrive("n1");
  await settle();
  first.close();
  hub.requests.length = 0;
  const second = hub.core();
  await second.start();
  await settle();
  assert.equal(hub.source.cursor, hub.cursor());
  assert.deepEqual(ids(second), ["n1"]);
  assert.equal(
    hub.requests.some(({ path }) => path === "/api/notifications"),
    false,
  );
});

test("items and cursor are stored together: a crash between events loses none", async () => {
  const hub = new FakeHub();
  const first = await hub.live();
  hub.arrive("n1");
  await settle();
  // The event arrives, but the browser crashes before it is stored.
  hub.arrive("n2");
  first.close();
  const stored = hub.position;
  const second = hub.core();
  await second.start();
  await settle();
  const from = Number(hub.source.cursor.split(".")[1]);
  assert.deepEqual([from, ids(second)], from === stored ? [stored, ["n2", "n1"]] : [stored - 1, ["n1"]]);
});

test("reset: the inbox is fetched again, and the stream continues", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  hub.notify("n2");
  hub.rows = hub.rows.filter((row) => row.id !== "n1");
  hub.position = 500;
  hub.send("reset", { reason: "trimmed", cursor: hub.cursor() }, hub.cursor());
  await settle();
  assert.deepEqual(ids(core), ["n2"]);
  hub.arrive("n3");
  assert.deepEqual(ids(core), ["n3", "n2"]);
});

test("crash between reset and the list: the next start fetches the list", async () => {
  const hub = new FakeHub();
  const first = await hub.live();
  hub.arrive("n1");
  await settle();
  hub.responses["GET /api/notifications"] = deferred().response;
  hub.position = 500;
  hub.send("reset", { reason: "trimmed", cursor: hub.cursor() }, hub.cursor());
  hub.send("heartbeat", {}, hub.cursor());
  await settle();
  first.close();
  delete hub.responses["GET /api/notifications"];
  hub.notify("n2");
  const second = hub.core();
  await second.start();
  await settle();
  assert.deepEqual(ids(second), ["n2", "n1"]);
  assert.equal(hub.source.cursor, hub.cursor());
});

test("events that arrive while the list is fetched are applied once", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  const { response, release } = deferred();
  hub.responses["GET /api/notifications"] = response;
  const refreshing = core.refresh();
  await settle();
  hub.arrive("n1");
  const list = [200, { items: [...hub.rows], next: null, ...hub.counts(), cursor: hub.cursor() }];
  hub.arrive("n2");
  hub.send("notification_state", { ids: ["n1"], state: "read", unread: 1, unseen: 1 }, "e1.13");
  release(list);
  await refreshing;
  assert.deepEqual(ids(core), ["n2", "n1"]);
  assert.ok(core.getSnapshot().inbox.items[1].readAt);
  assert.deepEqual(counts(core), [1, 1]);
  assert.equal(hub.requests.filter(({ path }) => path === "/api/notifications").length, 2);
});

test("event that the list already contains changes nothing and is emitted", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  const [data, cursor] = hub.notify("n1");
  await core.refresh();
  hub.rows[0].readAt = "elsewhere";
  hub.position += 1;
  const received = [];
  core.onEvent(({ name }) => received.push(name));
  hub.send("notification", { ...data, unread: 9, unseen: 9 }, cursor);
  assert.deepEqual(counts(core), [1, 1]);
  assert.deepEqual(received, ["notification"]);
});

test("faults: the browser reconnects first, then waits double from 1 s to 30 s", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  const shown = statuses(core);
  hub.source.onerror();
  await settle();
  assert.equal(hub.sources.length, 1);
  assert.equal(core.getSnapshot().status, "connecting");
  const waits = [];
  hub.source.onerror();
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const before = hub.clock.time;
    const count = hub.sources.length;
    while (hub.sources.length === count) await hub.clock.pass(250);
    waits.push(hub.clock.time - before);
    hub.source.onerror();
    await settle();
  }
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  assert.deepEqual(shown, ["connecting", "offline"]);
});

test("short connections do not reset the backoff; 30 s without a fault do", async () => {
  const hub = new FakeHub();
  await hub.live();
  const wait = async () => {
    const before = hub.clock.time;
    const count = hub.sources.length;
    while (hub.sources.length === count) await hub.clock.pass(250);
    return hub.clock.time - before;
  };
  hub.source.onerror();
  hub.source.onerror();
  assert.equal(await wait(), 1_000);
  hub.confirm();
  hub.source.onerror();
  hub.source.onerror();
  assert.equal(await wait(), 2_000);
  hub.confirm();
  await hub.clock.pass(30_000);
  hub.source.onerror();
  hub.source.onerror();
  assert.equal(await wait(), 1_000);
});

test("stream silent for 2.5 heartbeats is reopened at its cursor", async () => {
  const hub = new FakeHub();
  await hub.live();
  hub.arrive("n1");
  await hub.clock.pass(37_000);
  assert.equal(hub.sources.length, 1);
  await hub.clock.pass(2_000);
  assert.equal(hub.sources.length, 2);
  assert.equal(hub.source.cursor, hub.cursor());
  assert.equal(hub.sources[0].closed, true);
});

test("response that closes the stream: 401 signs out, others are retried", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.source.readyState = 2;
  hub.source.onerror();
  await settle();
  await hub.clock.pass(1_000);
  assert.equal(hub.sources.length, 2);
  hub.user = null;
  hub.source.readyState = 2;
  hub.source.onerror();
  await settle();
  assert.equal(core.getSnapshot().status, "signed-out");
  assert.deepEqual(ids(core), []);
  await hub.clock.pass(3_600_000);
  assert.equal(hub.sources.length, 2);
});

test("client with a rejected token retries every ten minutes", async () => {
  const hub = new FakeHub();
  hub.responses["POST /api/realtime/tickets"] = () => [200, { ticket: `t${hub.requests.length}`, expiresIn: 30 }];
  await hub.live(hub.core({ token: async () => "token" }));
  assert.match(hub.source.url, /ticket=t/);
  hub.responses["POST /api/realtime/tickets"] = [401, { code: "UNAUTHENTICATED", message: "No." }];
  const ticketRequests = () => hub.requests.filter(({ path }) => path.endsWith("/tickets")).length;
  hub.source.onerror();
  await hub.clock.pass(10_000);
  const before = ticketRequests();
  await hub.clock.pass(3_600_000);
  assert.ok(ticketRequests() - before <= 7, `${ticketRequests() - before} in an hour`);
  assert.ok(ticketRequests() > before);
});

test("bye after a log-out elsewhere signs out and deletes the stored state", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.arrive("n1");
  await settle();
  hub.send("bye", { reason: "logout" });
  await settle();
  assert.equal(core.getSnapshot().status, "signed-out");
  assert.deepEqual(await new Storage("", hub.indexedDB).load(), { meta: null, items: [], outbox: [] });
  hub.user = null;
  const next = hub.core();
  await next.start();
  assert.deepEqual(ids(next), []);
  assert.equal(next.getSnapshot().user, null);
});

test("offline page shows the stored state with its time and the status", async () => {
  const hub = new FakeHub();
  const first = await hub.live();
  hub.arrive("n1");
  await settle();
  first.close();
  for (const route of Object.keys(hub.defaults)) hub.responses[route] = "down";
  const core = hub.core();
  await core.start();
  hub.source.onerror();
  await hub.clock.pass(3_000);
  hub.source.onerror();
  await hub.clock.pass(3_000);
  const { status, user, inbox } = core.getSnapshot();
  assert.deepEqual([status, user.id, inbox.unread, inbox.items.length], ["offline", "ann", 1, 1]);
  assert.ok(inbox.asOf);
});

test("message written offline is stored and sent once, with its own id", async () => {
  const hub = new FakeHub();
  const first = await hub.live();
  hub.responses["POST /api/realtime/messages/send"] = "down";
  const id = await first.send({ conversationId: "c1", content: "Hello" });
  await settle();
  first.close();
  const second = await hub.live();
  assert.equal(second.getSnapshot().outbox[0].clientMessageId, id);
  hub.responses["POST /api/realtime/messages/send"] = ({ body }) => [
    201,
    { id: "m1", ...body, sender: { id: "ann", name: "Ann" } },
  ];
  await hub.clock.pass(20_000);
  assert.deepEqual(second.getSnapshot().outbox, []);
  const sent = hub.requests.filter(({ path }) => path.endsWith("/messages/send"));
  assert.deepEqual(new Set(sent.map(({ body }) => body.clientMessageId)), new Set([id]));
  assert.deepEqual(new Set(sent.map(({ headers }) => headers["idempotency-key"])), new Set([id]));
});

test("rejected message stays with the reason until it is resent or discarded", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.responses["POST /api/realtime/messages/send"] = [422, { code: "INVALID_FIELD", message: "Too long." }];
  const id = await core.send({ conversationId: "c1", content: "Hello" });
  await settle();
  assert.equal(core.getSnapshot().outbox[0].error, "Too long.");
  await core.discard(id);
  assert.deepEqual(core.getSnapshot().outbox, []);
});

test("late events are summed up in one event", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  const received = [];
  core.onEvent(({ name, data, late }) => received.push([name, name === "absence" ? data.count : late]));
  const old = new Date(hub.clock.time - 3_600_000).toISOString();
  for (const id of ["n1", "n2"]) hub.arrive(id, { createdAt: old });
  hub.arrive("n3");
  await hub.clock.pass(300);
  assert.deepEqual(received, [
    ["notification", true],
    ["notification", true],
    ["notification", false],
    ["absence", 2],
  ]);
});

test("counts that differ at the same cursor make the list be fetched again", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  hub.rows.unshift(hub.row("n1"));
  hub.source.onerror();
  hub.confirm();
  await hub.clock.pass(300);
  assert.deepEqual(ids(core), ["n1"]);
});

test("cookie of another user: the stored state of the former user is deleted", async () => {
  const hub = new FakeHub();
  const first = await hub.live();
  hub.arrive("n1");
  await settle();
  first.close();
  hub.user = { id: "bob", name: "Bob", role: "client", skills: [] };
  hub.rows = [];
  const core = hub.core();
  await core.start();
  await settle();
  assert.equal(core.getSnapshot().user.id, "bob");
  assert.deepEqual(ids(core), []);
  assert.equal(hub.source.cursor, hub.cursor());
});

test("presence is reported each minute and soon after events, with the cursor", async () => {
  const hub = new FakeHub();
  hub.responses["POST /api/presence"] = [204, null];
  hub.random = 0;
  const core = await hub.live();
  const reports = () => hub.requests.filter(({ path }) => path === "/api/presence").map(({ body }) => body);
  core.recordActivity();
  hub.arrive("n1");
  await settle();
  await hub.clock.pass(2_000);
  assert.deepEqual(reports(), [{ active: true, cursor: hub.cursor() }]);
  for (let beat = 0; beat < 4; beat += 1) {
    hub.send("heartbeat", {}, hub.cursor());
    await hub.clock.pass(15_000);
  }
  assert.deepEqual(reports()[1], { active: false, cursor: hub.cursor() });
});

test("older pages are fetched by filter, and no filter shows a list with gaps", async () => {
  const hub = new FakeHub();
  const rows = (names) => names.map((id) => hub.row(id, { category: id.startsWith("5") ? "job" : "system" }));
  hub.responses["GET /api/notifications"] = ({ url }) => {
    const page = { unread: 0, unseen: 0, cursor: hub.cursor() };
    if (url.includes("category")) return [200, { ...page, items: rows(["50", "9"].slice(0, 1)), next: null }];
    if (url.includes("after")) return [200, { ...page, items: rows(["4"]), next: null }];
    return [200, { ...page, items: rows(["9", "8"]), next: "token" }];
  };
  const core = await hub.live();
  const shown = (filter) => listed(core.getSnapshot().inbox, filter, hub.clock.time);
  assert.deepEqual([shown("all").items.length, shown("all").more, shown("jobs").more], [2, true, true]);
  await core.more("jobs");
  assert.deepEqual([shown("jobs").items.map(({ id }) => id), shown("jobs").more], [["50"], false]);
  assert.equal(shown("all").items.length, 2, "items below the end of the list are not shown in it");
  await core.more("all");
  assert.deepEqual(
    shown("all").items.map(({ id }) => id),
    ["9", "8", "50", "4"],
  );
});

test("page that stays open for weeks does not keep every item", async () => {
  const hub = new FakeHub();
  const core = await hub.live();
  for (let n = 1; n <= 1_001; n += 1) hub.arrive(`n${String(n).padStart(5, "0")}`);
  await settle();
  assert.equal(ids(core).length, 30);
  assert.deepEqual(counts(core), [1_001, 1_001]);
  hub.arrive("n99999");
  assert.equal(ids(core)[0], "n99999");
});
