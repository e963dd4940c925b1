/** Tests of requests: timeouts, incomplete responses, idempotency keys and error messages. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { requester } from "../../../web/client/request.js";

/** A hub that never responds, and timeouts that the test triggers. */
function silentHub(t, respond = (signal) => Promise.reject(signal.reason)) {
  const timeouts = [];
  t.mock.method(AbortSignal, "timeout", (ms) => {
    const controller = new AbortController();
    timeouts.push({ ms, end: () => controller.abort(new DOMException("The operation timed out.", "TimeoutError")) });
    return controller.signal;
  });
  const keys = [];
  const fetch = (_url, { headers, signal }) => {
    keys.push(headers["idempotency-key"]);
    return new Promise((resolve, reject) =>
      signal?.addEventListener("abort", () => respond(signal).then(resolve, reject), { once: true }),
    );
  };
  return { request: requester({ fetch }), timeouts, keys };
}

test("request times out after 20 s with a message", async (t) => {
  const { request, timeouts } = silentHub(t);
  const pending = request("GET", "/api/jobs");
  await Promise.resolve();
  assert.equal(timeouts[0].ms, 20_000);
  timeouts[0].end();
  await assert.rejects(pending, { name: "Problem", status: 0, message: /^The hub took too long to answer\./ });
});

test("incomplete response is an error, and the retry has the same key", async (t) => {
  const half = async () => ({ ok: true, status: 200, text: async () => '{"id":' });
  const { request, timeouts, keys } = silentHub(t, half);
  for (const index of [0, 1]) {
    const pending = request("POST", "/api/jobs", { title: "Once" });
    await Promise.resolve();
    timeouts[index].end();
    await assert.rejects(pending, { status: 0 });
  }
  assert.equal(keys[0], keys[1]);
});

test("upload has a longer timeout than a request", async (t) => {
  const { request, timeouts } = silentHub(t);
  const pending = request("POST", "/api/attachments", new FormData());
  await Promise.resolve();
  assert.equal(timeouts[0].ms, 300_000);
  timeouts[0].end();
  await assert.rejects(pending, { status: 0 });
});

test("refused connection is not reported as a timeout", async () => {
  const request = requester({ fetch: async () => Promise.reject(new TypeError("no network")) });
  await assert.rejects(request("GET", "/api/jobs"), { status: 0, message: /cannot be reached/ });
});

test("response without a body resolves to null", async () => {
  const request = requester({ fetch: async () => new Response("", { status: 202 }) });
  assert.equal(await request("POST", "/api/auth/email/confirmation"), null);
});
