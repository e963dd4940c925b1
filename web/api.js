/** Requests to the hub: JSON in and out; everything that goes wrong becomes a Problem with one sentence in it. */

/** What went wrong, in a sentence a person can act on; `status` is 0 when no answer came. */
export class Problem extends Error {
  /** @param {{status: number, code?: string, message: string, pointer?: string}} problem */
  constructor({ status, code = "", message, pointer = "" }) {
    super(message);
    this.status = status;
    this.code = code;
    /** The name of the form field that is at fault, if one is. */
    this.field = pointer.split("/").pop() ?? "";
  }
}

const UNREACHABLE = "The hub cannot be reached. Check your connection and try again.";
const STRANGE = "The hub gave an answer this page does not understand. Try again in a moment.";

export class Api {
  /** Keys of requests whose outcome is unknown: asking the same again must not do it twice. */
  #keys = new Map();

  /** @param {() => void} signedOut called when the hub no longer knows who we are */
  constructor(signedOut) {
    this.signedOut = signedOut;
  }

  /** @param {string} path */
  get(path) {
    return this.send("GET", path);
  }

  /** @param {string} path @param {object} [body] */
  post(path, body) {
    return this.send("POST", path, body);
  }

  /**
   * Ask, and ask with the same Idempotency-Key when the same thing is asked again after no clear answer.
   * @param {string} method @param {string} path @param {object} [body]
   * @returns {Promise<any>} the JSON of the answer, null when it has none; rejects with a Problem
   */
  async send(method, path, body) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const same = `${method} ${path} ${text}`;
    const headers = new Headers({ accept: "application/json" });
    if (text !== undefined) headers.set("content-type", "application/json");
    if (method !== "GET") headers.set("idempotency-key", this.#keys.get(same) ?? newKey());
    if (method !== "GET") this.#keys.set(same, headers.get("idempotency-key"));
    const response = await fetch(path, { method, headers, body: text }).catch(() => null);
    if (!response) throw new Problem({ status: 0, message: UNREACHABLE });
    if (response.status < 500) this.#keys.delete(same);
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => null);
    if (response.ok && answer) return answer;
    if (response.status === 401) this.signedOut();
    throw new Problem({ message: STRANGE, ...answer, status: response.status });
  }
}

/** crypto.randomUUID is for secure contexts only; a hub on a local network has none. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
