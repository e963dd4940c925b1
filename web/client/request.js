/** Requests to the hub: JSON in and out; everything that goes wrong becomes a Problem with one sentence in it. */

/** What went wrong, in a sentence a person can act on; `status` is 0 when no answer came. */
export class Problem extends Error {
  /** @param {{status: number, code?: string, message: string, pointer?: string}} problem */
  constructor({ status, code = "", message, pointer = "", ...more }) {
    super(message);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    /** The name of the form field that is at fault, if one is. */
    this.field = pointer.split("/").pop() ?? "";
    /** The extra members: `currentStatus`, `available`, … */
    this.more = more;
  }
}

const UNREACHABLE = "The hub cannot be reached. Try again in a moment.";
const SLOW = "The hub took too long to answer. Try again in a moment.";
/** An answer is waited for so long, ms, and longer where a file is sent. */
const ANSWER_WAIT = 20_000;
const UPLOAD_WAIT = 300_000;

/** Requests without a clear answer whose keys are remembered. */
const UNCLEAR = 100;

/** Whether asking again may help: no answer, too many requests, or a hub that is in trouble. @param {any} error */
export const isPassing = (error) => error?.status === 0 || error?.status === 429 || error?.status >= 500;

/** 32 hexadecimal digits; crypto.randomUUID is for secure contexts only, and a hub on a local network has none. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A function that asks the hub. The same thing asked again after no clear answer goes with the same Idempotency-Key.
 * @param {{url?: string, fetch?: typeof fetch, token?: () => Promise<string | null>, onRefused?: () => void}} options
 * @returns {(method: string, path: string, body?: any, key?: string) => Promise<any>} the JSON, null when there is none
 */
export function requester({ url = "", fetch = globalThis.fetch.bind(globalThis), token, onRefused }) {
  /** @type {Map<string, string>} keys of requests whose outcome is unknown */
  const keys = new Map();
  return async function request(method, path, body, key) {
    const isForm = typeof FormData !== "undefined" && body instanceof FormData;
    const text = body === undefined || isForm ? body : JSON.stringify(body);
    const same = `${method} ${path} ${isForm ? newKey() : text}`;
    const headers = { accept: "application/json" };
    if (typeof text === "string") headers["content-type"] = "application/json";
    if (method !== "GET") {
      headers["idempotency-key"] = key ?? keys.get(same) ?? newKey();
      keys.set(same, headers["idempotency-key"]);
      if (keys.size > UNCLEAR) keys.delete(keys.keys().next().value);
    }
    const bearer = token && (await token());
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    const credentials = token ? "omit" : "same-origin";
    const signal = AbortSignal.timeout(isForm ? UPLOAD_WAIT : ANSWER_WAIT);
    const response = await fetch(url + path, { method, headers, body: text, credentials, signal }).catch(() => null);
    const answer = await response
      ?.text()
      .then((text) => (text ? JSON.parse(text) : null))
      .catch(() => undefined);
    // Of half an answer nobody can tell what was done, as of none.
    if (!response || (response.ok && answer === undefined))
      throw new Problem({ status: 0, message: signal.aborted ? SLOW : UNREACHABLE });
    if (response.status < 500) keys.delete(same);
    if (response.ok) return answer;
    if (response.status === 401) onRefused?.();
    throw new Problem({ message: UNREACHABLE, ...answer, status: response.status });
  };
}
