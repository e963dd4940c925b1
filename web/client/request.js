/** JSON requests; every failure becomes a Problem. */

/** A failed request, with a message that explains to the user what to do; `status` is 0 without a response. */
export class Problem extends Error {
  /** @param {{status: number, code?: string, message: string, pointer?: string}} problem */
  constructor({ status, code = "", message, pointer = "", ...more }) {
    super(message);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    /** The name of the invalid form field, or "". */
    this.field = pointer.split("/").pop() ?? "";
    /** Further members of the response: `currentStatus`, `available`, … */
    this.more = more;
  }
}

const UNREACHABLE = "The hub cannot be reached. Try again in a moment.";
const TIMED_OUT = "The hub took too long to answer. Try again in a moment.";
/** Timeouts of a request and of an upload. */
const REQUEST_TIMEOUT_MS = 20_000;
const UPLOAD_TIMEOUT_MS = 300_000;

/** Requests with an unknown outcome whose keys are remembered. */
const MAX_KEYS = 100;

/** Whether a request that failed like this may succeed later. @param {any} error */
export const isPassing = (error) => error?.status === 0 || error?.status === 429 || error?.status >= 500;

/** Return 32 random hexadecimal digits. crypto.randomUUID needs a secure context, which a hub on a local network lacks. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Return a function that sends requests. A request that is repeated after an unknown outcome has the same Idempotency-Key.
 * @param {{url?: string, fetch?: typeof fetch, token?: () => Promise<string | null>}} options
 * @returns {(method: string, path: string, body?: any, key?: string) => Promise<any>} resolves to the JSON, null without a body
 */
export function requester({ url = "", fetch = globalThis.fetch.bind(globalThis), token }) {
  /** @type {Map<string, string>} idempotency keys of requests whose outcome is unknown */
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
      if (keys.size > MAX_KEYS) keys.delete(keys.keys().next().value);
    }
    const bearer = token && (await token());
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    const credentials = token ? "omit" : "same-origin";
    const signal = AbortSignal.timeout(isForm ? UPLOAD_TIMEOUT_MS : REQUEST_TIMEOUT_MS);
    const response = await fetch(url + path, { method, headers, body: text, credentials, signal }).catch(() => null);
    const json = await response
      ?.text()
      .then((text) => (text ? JSON.parse(text) : null))
      .catch(() => undefined);
    // An incomplete response does not show what the hub did.
    if (!response || (response.ok && json === undefined))
      throw new Problem({ status: 0, message: signal.aborted ? TIMED_OUT : UNREACHABLE });
    if (response.status < 500) keys.delete(same);
    if (response.ok) return json;
    throw new Problem({ message: UNREACHABLE, ...json, status: response.status });
  };
}
