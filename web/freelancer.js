/** What a freelancer sees: open jobs with a form to bid, their own bids, and what became of them. */

import { Fresh, attempt, cents, copy, money, onSubmit, part, showAll, write } from "/static/dom.js";
import { makeJob, showJob, writeStatus } from "/static/jobs.js";
import { showSteps } from "/static/steps.js";

/** What anybody does to a job reaches every freelancer's page at once; they do not all ask at once. */
const SPREAD = 400;
/** Bids on jobs that are no longer open; each costs a request. */
const EARLIER = 10;

export class Freelancer {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #soon;

  /** @param {HTMLElement} work where to show it @param {import("/static/api.js").Api} api */
  constructor(work, api) {
    this.api = api;
    this.root = copy("freelancer");
    this.fresh = new Fresh(() => this.#load(), this.root);
    work.append(this.root);
  }

  /** Refetch what an event made old. @param {string[]} keys */
  invalidate(keys) {
    if (keys.includes("my-jobs")) return this.fresh.ask();
    if (!keys.some((key) => key === "jobs" || key.startsWith("job/"))) return;
    this.fresh.touch();
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      if (this.root.isConnected) this.fresh.ask();
    }, Math.random() * SPREAD);
  }

  async #load() {
    const [open, own] = await Promise.all([
      this.api.get("/api/jobs?status=open&limit=50"), this.api.get("/api/bids?mine=true&limit=50"),
    ]);
    /** @type {Map<string, any>} the newest bid on each job: one that was withdrawn can be followed by another */
    const bids = new Map(own.items.toReversed().map((/** @type {any} */ bid) => [bid.gigId, bid]));
    const shown = new Set(open.items.map((/** @type {any} */ job) => job.id));
    const earlier = [...bids.keys()].reverse().filter((id) => !shown.has(id)).slice(0, EARLIER);
    const found = await Promise.all(earlier.map((id) => this.api.get(`/api/jobs/${id}`).catch(() => null)));
    this.#render(open.items, found.filter(Boolean), bids);
  }

  /** @param {any[]} open @param {any[]} decided @param {Map<string, any>} bids */
  #render(open, decided, bids) {
    part(this.root, "empty").hidden = open.length > 0;
    part(this.root, "past").hidden = decided.length === 0;
    const show = (/** @type {HTMLElement} */ card, /** @type {any} */ job) => this.#show(card, job, bids.get(job.id));
    for (const [name, jobs] of [["jobs", open], ["decided", decided]]) {
      showAll(part(this.root, String(name)), /** @type {any[]} */ (jobs), (job) => this.#make(job), show);
    }
  }

  /** @param {any} job */
  #make(job) {
    const card = makeJob("offer");
    onSubmit(part(card, "form"), (values) => this.#bid(card, job, values));
    const withdraw = part(card, "withdraw");
    withdraw.addEventListener("click", () => attempt(part(card, "own"), () => this.#withdraw(card), withdraw));
    return card;
  }

  /** @param {HTMLElement} card @param {any} job @param {Record<string, string>} values */
  async #bid(card, job, { price, message }) {
    await this.api.post(`/api/jobs/${job.id}/bids`, { price: cents(price), message });
    part(card, "form").reset();
    part(card, "place").open = false;
    card.focus();
    await this.fresh.ask();
  }

  /** @param {HTMLElement} card */
  async #withdraw(card) {
    await this.api.send("DELETE", `/api/bids/${card.dataset.bid}`);
    card.focus();
    await this.fresh.ask();
  }

  /** @param {HTMLElement} card @param {any} job @param {any} bid the newest of one's own, if there is one */
  #show(card, job, bid) {
    const bidding = bid && bid.status !== "withdrawn";
    const own = part(card, "own");
    card.dataset.bid = bid?.id ?? "";
    showJob(card, job, `by ${job.owner.name}`);
    part(card, "place").hidden = bidding || job.status !== "open";
    own.hidden = !bid;
    showSteps(card, job, bid?.status === "hired" ? "worker" : "anybody", this.api, () => this.fresh.ask());
    if (!bid) return;
    writeStatus(own, bid.status);
    write(own, { words: `Your bid: ${money(bid.price, job.currency)}` });
    part(own, "withdraw").hidden = bid.status !== "pending" || job.status !== "open";
  }
}
