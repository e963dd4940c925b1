/** Requests to the hub: every wait has an end, and what came of it is said in a sentence. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { requester } from "../../../web/client/request.js";

/** A hub that never answers, and a clock that ends a wait when the test says so. */
function silence(t, answered = (signal) => Promise.reject(signal.reason)) {
  const waits = [];
  t.mock.method(AbortSignal, "timeout", (ms) => {
    const controller = new AbortController();
    waits.push({ ms, end: () => controller.abort(new DOMException("The operation timed out.", "TimeoutError")) });
    return controller.signal;
  });
  const keys = [];
  const fetch = (_url, { headers, signal }) => {
    keys.push(headers["idempotency-key"]);
    return new Promise((resolve, reject) =>
      signal?.addEventListener("abort", () => answered(signal).then(resolve, reject), { once: true }),
    );
  };
  return { request: requester({ fetch }), waits, keys };
}

test("a hub that does not answer is waited for so long and no longer, and it is said in a sentence", async (t) => {
  const { request, waits } = silence(t);
  const asked = request("GET", "/api/jobs");
  await Promise.resolve();
  assert.equal(waits[0].ms, 20_000);
  waits[0].end();
  await assert.rejects(asked, { name: "Problem", status: 0, message: /^The hub took too long to answer\./ });
});

test("an answer that stops half-way is none, and the same asked again goes with the same key", async (t) => {
  const half = async () => ({ ok: true, status: 200, text: async () => '{"id":' });
  const { request, waits, keys } = silence(t, half);
  for (const at of [0, 1]) {
    const asked = request("POST", "/api/jobs", { title: "Once" });
    await Promise.resolve();
    waits[at].end();
    await assert.rejects(asked, { status: 0 });
  }
  assert.equal(keys[0], keys[1]);
});

test("a file is given more time than a question", async (t) => {
  const { request, waits } = silence(t);
  const asked = request("POST", "/api/attachments", new FormData());
  await Promise.resolve();
  assert.equal(waits[0].ms, 300_000);
  waits[0].end();
  await assert.rejects(asked, { status: 0 });
});

test("who refuses a connection is not said to be slow", async () => {
  const request = requester({ fetch: async () => Promise.reject(new TypeError("no network")) });
  await assert.rejects(request("GET", "/api/jobs"), { status: 0, message: /cannot be reached/ });
});

test("an answer without a word is one, as 202 and 204 have it", async () => {
  const request = requester({ fetch: async () => new Response("", { status: 202 }) });
  assert.equal(await request("POST", "/api/auth/email/confirmation"), null);
});
