/** The store and its connection, without a browser: what is shown follows from what the hub said, whatever happens between. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { listed } from "../../../web/client/inbox.js";
import { Storage } from "../../../web/client/indexed-db.js";
import { World, held, settle } from "./fake-hub.js";

const ids = (core) => core.getSnapshot().inbox.items.map((item) => item.id);
const counts = (core) => [core.getSnapshot().inbox.unread, core.getSnapshot().inbox.unseen];
const statuses = (core) => {
  const seen = [];
  core.subscribe(() => core.getSnapshot().status !== seen.at(-1) && seen.push(core.getSnapshot().status));
  return seen;
};

test("the stream is opened from the list's cursor, so nothing falls between", async () => {
  const world = new World();
  world.notify("n1");
  const core = await world.live();
  assert.equal(world.source.cursor, world.cursor());
  assert.deepEqual(ids(core), ["n1"]);
  assert.equal(core.getSnapshot().status, "live");
});

test("an event is applied once, however often it is told", async () => {
  const world = new World();
  const core = await world.live();
  const heard = [];
  core.onEvent(({ name }) => name === "notification" && heard.push(name));
  const [data, cursor] = world.notify("n1");
  world.tell("notification", data, cursor);
  world.tell("notification", data, cursor);
  assert.equal(heard.length, 1);
  assert.deepEqual(counts(core), [1, 1]);
});

test("the snapshot keeps its identity as long as nothing changed", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  world.arrive("n2");
  const before = core.getSnapshot();
  assert.equal(core.getSnapshot(), before);
  core.read(["n1"]).catch(() => {});
  const after = core.getSnapshot();
  assert.notEqual(after, before);
  assert.equal(after.inbox.items[0], before.inbox.items[0]);
});

test("reading shows at once and is taken back when the hub refuses", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  const { answer, release } = held();
  world.answers["POST /api/realtime/notifications/read"] = answer;
  const reading = core.read(["n1"]);
  assert.deepEqual(counts(core), [0, 0]);
  assert.ok(core.getSnapshot().inbox.items[0].readAt);
  release([503, { code: "OVERLOADED", message: "Later." }]);
  await assert.rejects(reading, { code: "OVERLOADED" });
  assert.deepEqual(counts(core), [1, 1]);
  assert.equal(core.getSnapshot().inbox.items[0].readAt, null);
});

test("the hub's event and its answer count a change once, in either order", async () => {
  for (const eventFirst of [true, false]) {
    const world = new World();
    const core = await world.live();
    world.arrive("n1");
    world.arrive("n2");
    const { answer, release } = held();
    world.answers["POST /api/realtime/notifications/read"] = answer;
    const reading = core.read(["n1"]);
    await settle();
    world.rows.find((row) => row.id === "n1").readAt = "now";
    world.rows.find((row) => row.id === "n1").seenAt = "now";
    world.position += 1;
    const tell = () => world.tell("notification_state", { ids: ["n1"], state: "read", ...world.counts() }, world.cursor());
    if (eventFirst) tell();
    assert.deepEqual(counts(core), [1, 1]);
    release([200, { ...world.counts(), undo: "u1" }]);
    await reading;
    assert.deepEqual(counts(core), [1, 1]);
    if (!eventFirst) tell();
    assert.deepEqual(counts(core), [1, 1]);
  }
});

test("mark all read leaves what came while it was under way", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  world.arrive("n2");
  const { answer, release } = held();
  world.answers["POST /api/realtime/notifications/read"] = answer;
  const reading = core.readAll();
  world.arrive("n3");
  assert.deepEqual(counts(core), [1, 1]);
  release([200, { unread: 1, unseen: 1, undo: "u1" }]);
  await reading;
  assert.deepEqual(counts(core), [1, 1]);
  assert.equal(world.requests.at(-1).body.before, "n2");
});

test("mark all read counts what lies further down than is listed, too", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  world.tell("notification", { ...world.row("n2"), unread: 40, unseen: 40, invalidates: [] }, "e1.12");
  world.answers["POST /api/realtime/notifications/read"] = [200, { unread: 0, unseen: 0, undo: "u1" }];
  await core.readAll();
  assert.deepEqual(counts(core), [0, 0]);
});

test("undo puts back exactly what the last change did", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1", { readAt: "before", seenAt: "before" });
  world.arrive("n2");
  world.answers["POST /api/realtime/notifications/archive"] = [200, { unread: 0, unseen: 0, undo: "u1" }];
  world.answers["POST /api/realtime/notifications/undo"] = [200, { unread: 1, unseen: 1, undo: null }];
  const archiving = core.archive(["n2"]);
  assert.deepEqual(
    listed(core.getSnapshot().inbox, "all", world.clock.time).items.map((item) => item.id),
    ["n1"],
  );
  await archiving;
  await core.undo();
  assert.deepEqual(
    listed(core.getSnapshot().inbox, "all", world.clock.time).items.map((item) => item.id),
    ["n2", "n1"],
  );
  assert.deepEqual(counts(core), [1, 1]);
  assert.deepEqual(world.requests.at(-1).body, { undo: "u1" });
});

test("undo asked for before the answer waits for it", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  const { answer, release } = held();
  world.answers["POST /api/realtime/notifications/read"] = answer;
  world.answers["POST /api/realtime/notifications/undo"] = [200, { unread: 1, unseen: 1, undo: null }];
  core.read(["n1"]);
  const undoing = core.undo();
  release([200, { unread: 0, unseen: 0, undo: "u9" }]);
  await undoing;
  assert.deepEqual(world.requests.at(-1).body, { undo: "u9" });
  assert.deepEqual(counts(core), [1, 1]);
});

test("a pressed button stays pressed, and is released when that failed", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1", { actions: [{ id: "yes", label: "Yes", style: "primary" }] });
  const done = () => Boolean(core.getSnapshot().inbox.items[0].actions[0].done);
  world.answers["POST /api/notifications/n1/actions/yes"] = "down";
  const failing = core.act("n1", "yes");
  assert.equal(done(), true);
  await assert.rejects(failing);
  assert.equal(done(), false);
  world.answers["POST /api/notifications/n1/actions/yes"] = [200, {}];
  await core.act("n1", "yes");
  assert.equal(done(), true);
});

test("what another device did shows here, a retracted row goes", async () => {
  const world = new World();
  const core = await world.live();
  for (const id of ["n1", "n2", "n3"]) world.arrive(id);
  world.tell("notification_state", { ids: ["n2"], state: "retracted", unread: 2, unseen: 2 }, "e1.14");
  world.tell("notification_state", { all: true, before: "n1", state: "read", unread: 1, unseen: 1 }, "e1.15");
  assert.deepEqual(ids(core), ["n3", "n1"]);
  assert.ok(core.getSnapshot().inbox.items[1].readAt);
  assert.deepEqual(counts(core), [1, 1]);
});

test("a page that is loaded again goes on from the disk, without fetching the list", async () => {
  const world = new World();
  const first = await world.live();
  world.arrive("n1");
  await settle();
  first.close();
  world.requests.length = 0;
  const second = world.core();
  await second.start();
  await settle();
  assert.equal(world.source.cursor, world.cursor());
  assert.deepEqual(ids(second), ["n1"]);
  assert.equal(
    world.requests.some(({ path }) => path === "/api/notifications"),
    false,
  );
});

test("items and cursor are kept together: a browser that dies between events misses none", async () => {
  const world = new World();
  const first = await world.live();
  world.arrive("n1");
  await settle();
  // Told, but the browser dies before anything reaches the disk.
  world.arrive("n2");
  first.close();
  const kept = world.position;
  const second = world.core();
  await second.start();
  await settle();
  const from = Number(world.source.cursor.split(".")[1]);
  assert.deepEqual([from, ids(second)], from === kept ? [kept, ["n2", "n1"]] : [kept - 1, ["n1"]]);
});

test("reset: everything is fetched anew, and the stream goes on", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  world.notify("n2");
  world.rows = world.rows.filter((row) => row.id !== "n1");
  world.position = 500;
  world.tell("reset", { reason: "trimmed", cursor: world.cursor() }, world.cursor());
  await settle();
  assert.deepEqual(ids(core), ["n2"]);
  world.arrive("n3");
  assert.deepEqual(ids(core), ["n3", "n2"]);
});

test("a browser that dies between reset and the list has nothing to go on from, and fetches the list", async () => {
  const world = new World();
  const first = await world.live();
  world.arrive("n1");
  await settle();
  world.answers["GET /api/notifications"] = held().answer;
  world.position = 500;
  world.tell("reset", { reason: "trimmed", cursor: world.cursor() }, world.cursor());
  world.tell("heartbeat", {}, world.cursor());
  await settle();
  first.close();
  delete world.answers["GET /api/notifications"];
  world.notify("n2");
  const second = world.core();
  await second.start();
  await settle();
  assert.deepEqual(ids(second), ["n2", "n1"]);
  assert.equal(world.source.cursor, world.cursor());
});

test("what the stream tells while a list is on its way is kept, once", async () => {
  const world = new World();
  const core = await world.live();
  const { answer, release } = held();
  world.answers["GET /api/notifications"] = answer;
  const refreshing = core.refresh();
  await settle();
  world.arrive("n1");
  const list = [200, { items: [...world.rows], next: null, ...world.counts(), cursor: world.cursor() }];
  world.arrive("n2");
  world.tell("notification_state", { ids: ["n1"], state: "read", unread: 1, unseen: 1 }, "e1.13");
  release(list);
  await refreshing;
  assert.deepEqual(ids(core), ["n2", "n1"]);
  assert.ok(core.getSnapshot().inbox.items[1].readAt);
  assert.deepEqual(counts(core), [1, 1]);
  assert.equal(world.requests.filter(({ path }) => path === "/api/notifications").length, 2);
});

test("an event that the list already has, told later by the stream, changes nothing and is heard", async () => {
  const world = new World();
  const core = await world.live();
  const [data, cursor] = world.notify("n1");
  await core.refresh();
  world.rows[0].readAt = "elsewhere";
  world.position += 1;
  const heard = [];
  core.onEvent(({ name }) => heard.push(name));
  world.tell("notification", { ...data, unread: 9, unseen: 9 }, cursor);
  assert.deepEqual(counts(core), [1, 1]);
  assert.deepEqual(heard, ["notification"]);
});

test("faults: the browser comes back first, then waits double from 1 s to 30 s with full jitter", async () => {
  const world = new World();
  const core = await world.live();
  const shown = statuses(core);
  world.source.onerror();
  await settle();
  assert.equal(world.sources.length, 1);
  assert.equal(core.getSnapshot().status, "connecting");
  const waits = [];
  world.source.onerror();
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const before = world.clock.time;
    const count = world.sources.length;
    while (world.sources.length === count) await world.clock.pass(250);
    waits.push(world.clock.time - before);
    world.source.onerror();
    await settle();
  }
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  assert.deepEqual(shown, ["connecting", "offline"]);
});

test("brief opens do not shorten the wait; 30 s of peace do", async () => {
  const world = new World();
  await world.live();
  const wait = async () => {
    const before = world.clock.time;
    const count = world.sources.length;
    while (world.sources.length === count) await world.clock.pass(250);
    return world.clock.time - before;
  };
  world.source.onerror();
  world.source.onerror();
  assert.equal(await wait(), 1_000);
  world.confirm();
  world.source.onerror();
  world.source.onerror();
  assert.equal(await wait(), 2_000);
  world.confirm();
  await world.clock.pass(30_000);
  world.source.onerror();
  world.source.onerror();
  assert.equal(await wait(), 1_000);
});

test("a stream that is silent for two and a half beats is opened anew, from where it was", async () => {
  const world = new World();
  await world.live();
  world.arrive("n1");
  await world.clock.pass(37_000);
  assert.equal(world.sources.length, 1);
  await world.clock.pass(2_000);
  assert.equal(world.sources.length, 2);
  assert.equal(world.source.cursor, world.cursor());
  assert.equal(world.sources[0].closed, true);
});

test("an answer that closes the stream for ever: 401 signs out, others are asked again", async () => {
  const world = new World();
  const core = await world.live();
  world.source.readyState = 2;
  world.source.onerror();
  await settle();
  await world.clock.pass(1_000);
  assert.equal(world.sources.length, 2);
  world.user = null;
  world.source.readyState = 2;
  world.source.onerror();
  await settle();
  assert.equal(core.getSnapshot().status, "signed-out");
  assert.deepEqual(ids(core), []);
  await world.clock.pass(3_600_000);
  assert.equal(world.sources.length, 2);
});

test("a program whose token is refused again and again asks every ten minutes", async () => {
  const world = new World();
  world.answers["POST /api/realtime/tickets"] = () => [200, { ticket: `t${world.requests.length}`, expiresIn: 30 }];
  await world.live(world.core({ token: async () => "token" }));
  assert.match(world.source.url, /ticket=t/);
  world.answers["POST /api/realtime/tickets"] = [401, { code: "UNAUTHENTICATED", message: "No." }];
  const asked = () => world.requests.filter(({ path }) => path.endsWith("/tickets")).length;
  world.source.onerror();
  await world.clock.pass(10_000);
  const before = asked();
  await world.clock.pass(3_600_000);
  assert.ok(asked() - before <= 7, `${asked() - before} in an hour`);
  assert.ok(asked() > before);
});

test("bye of a log-out elsewhere signs this browser out and forgets what it kept", async () => {
  const world = new World();
  const core = await world.live();
  world.arrive("n1");
  await settle();
  world.tell("bye", { reason: "logout" });
  await settle();
  assert.equal(core.getSnapshot().status, "signed-out");
  assert.deepEqual(await new Storage("", world.indexedDB).load(), { meta: null, items: [], outbox: [] });
  world.user = null;
  const next = world.core();
  await next.start();
  assert.deepEqual(ids(next), []);
  assert.equal(next.getSnapshot().user, null);
});

test("without a network the page shows what was kept, as of when, and says offline", async () => {
  const world = new World();
  const first = await world.live();
  world.arrive("n1");
  await settle();
  first.close();
  for (const route of Object.keys(world.usual)) world.answers[route] = "down";
  const core = world.core();
  await core.start();
  world.source.onerror();
  await world.clock.pass(3_000);
  world.source.onerror();
  await world.clock.pass(3_000);
  const { status, user, inbox } = core.getSnapshot();
  assert.deepEqual([status, user.id, inbox.unread, inbox.items.length], ["offline", "ann", 1, 1]);
  assert.ok(inbox.asOf);
});

test("a message written offline waits on the disk and goes out once, with its own id", async () => {
  const world = new World();
  const first = await world.live();
  world.answers["POST /api/realtime/messages/send"] = "down";
  const id = await first.send({ conversationId: "c1", content: "Hello" });
  await settle();
  first.close();
  const second = await world.live();
  assert.equal(second.getSnapshot().outbox[0].clientMessageId, id);
  world.answers["POST /api/realtime/messages/send"] = ({ body }) => [
    201,
    { id: "m1", ...body, sender: { id: "ann", name: "Ann" } },
  ];
  await world.clock.pass(20_000);
  assert.deepEqual(second.getSnapshot().outbox, []);
  const sent = world.requests.filter(({ path }) => path.endsWith("/messages/send"));
  assert.deepEqual(new Set(sent.map(({ body }) => body.clientMessageId)), new Set([id]));
  assert.deepEqual(new Set(sent.map(({ headers }) => headers["idempotency-key"])), new Set([id]));
});

test("a message that the hub refuses stays, with the reason, until it is sent again or given up", async () => {
  const world = new World();
  const core = await world.live();
  world.answers["POST /api/realtime/messages/send"] = [422, { code: "INVALID_FIELD", message: "Too long." }];
  const id = await core.send({ conversationId: "c1", content: "Hello" });
  await settle();
  assert.equal(core.getSnapshot().outbox[0].error, "Too long.");
  await core.discard(id);
  assert.deepEqual(core.getSnapshot().outbox, []);
});

test("what was missed for long is summed up in one event", async () => {
  const world = new World();
  const core = await world.live();
  const heard = [];
  core.onEvent(({ name, data, late }) => heard.push([name, name === "absence" ? data.count : late]));
  const old = new Date(world.clock.time - 3_600_000).toISOString();
  for (const id of ["n1", "n2"]) world.arrive(id, { createdAt: old });
  world.arrive("n3");
  await world.clock.pass(300);
  assert.deepEqual(heard, [
    ["notification", true],
    ["notification", true],
    ["notification", false],
    ["absence", 2],
  ]);
});

test("counts that differ at the place where we stand make the list be fetched again", async () => {
  const world = new World();
  const core = await world.live();
  world.rows.unshift(world.row("n1"));
  world.source.onerror();
  world.confirm();
  await world.clock.pass(300);
  assert.deepEqual(ids(core), ["n1"]);
});

test("somebody else's cookie: what was kept for another user is gone", async () => {
  const world = new World();
  const first = await world.live();
  world.arrive("n1");
  await settle();
  first.close();
  world.user = { id: "bob", name: "Bob", role: "client", skills: [] };
  world.rows = [];
  const core = world.core();
  await core.start();
  await settle();
  assert.equal(core.getSnapshot().user.id, "bob");
  assert.deepEqual(ids(core), []);
  assert.equal(world.source.cursor, world.cursor());
});

test("presence is told each minute and soon after news, with the place that is on the disk", async () => {
  const world = new World();
  world.answers["POST /api/presence"] = [204, null];
  world.random = 0;
  const core = await world.live();
  const told = () => world.requests.filter(({ path }) => path === "/api/presence").map(({ body }) => body);
  core.active();
  world.arrive("n1");
  await settle();
  await world.clock.pass(2_000);
  assert.deepEqual(told(), [{ active: true, cursor: world.cursor() }]);
  for (let beat = 0; beat < 4; beat += 1) {
    world.tell("heartbeat", {}, world.cursor());
    await world.clock.pass(15_000);
  }
  assert.deepEqual(told()[1], { active: false, cursor: world.cursor() });
});

test("older pages come by filter, and a filter never shows a list with holes", async () => {
  const world = new World();
  const rows = (names) => names.map((id) => world.row(id, { category: id.startsWith("5") ? "job" : "system" }));
  world.answers["GET /api/notifications"] = ({ url }) => {
    const page = { unread: 0, unseen: 0, cursor: world.cursor() };
    if (url.includes("category")) return [200, { ...page, items: rows(["50", "9"].slice(0, 1)), next: null }];
    if (url.includes("after")) return [200, { ...page, items: rows(["4"]), next: null }];
    return [200, { ...page, items: rows(["9", "8"]), next: "mark" }];
  };
  const core = await world.live();
  const shown = (filter) => listed(core.getSnapshot().inbox, filter, world.clock.time);
  assert.deepEqual([shown("all").items.length, shown("all").more, shown("jobs").more], [2, true, true]);
  await core.more("jobs");
  assert.deepEqual([shown("jobs").items.map(({ id }) => id), shown("jobs").more], [["50"], false]);
  assert.equal(shown("all").items.length, 2, "what lies below the end of the list is not shown in it");
  await core.more("all");
  assert.deepEqual(
    shown("all").items.map(({ id }) => id),
    ["9", "8", "50", "4"],
  );
});

test("a page that stays open for weeks does not hold all that ever came", async () => {
  const world = new World();
  const core = await world.live();
  for (let n = 1; n <= 1_001; n += 1) world.arrive(`n${String(n).padStart(5, "0")}`);
  await settle();
  assert.equal(ids(core).length, 30);
  assert.deepEqual(counts(core), [1_001, 1_001]);
  world.arrive("n99999");
  assert.equal(ids(core)[0], "n99999");
});
