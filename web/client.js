/** What a client sees: a form to post a job, their jobs, who bids on them, and a button to hire. */

import { Fresh, attempt, cents, copy, money, onSubmit, part, showAll, words, write } from "/static/dom.js";
import { cardOf, makeJob, showJob, writeStatus } from "/static/jobs.js";
import { showSteps } from "/static/steps.js";

export class Client {
  /** @type {any[]} */
  #jobs = [];
  /** @type {Map<string, any[]>} by job */
  #bids = new Map();

  /** @param {HTMLElement} work where to show it @param {import("/static/api.js").Api} api @param {any} user */
  constructor(work, api, user) {
    this.api = api;
    this.user = user;
    this.root = copy("client");
    this.fresh = new Fresh(() => this.#load(), part(this.root, "section"));
    work.append(this.root);
    onSubmit(part(this.root, "form"), (values) => this.#post(values));
  }

  /**
   * Refetch what an event made old. @param {string[]} keys @param {any} data
   */
  async invalidate(keys, data) {
    const mine = this.#jobs.filter((job) => keys.includes(`job/${job.id}`));
    if (keys.includes("my-jobs") || (data.owner?.id === this.user.id && !mine.length)) return this.fresh.ask();
    this.fresh.touch();
    await Promise.all(mine.map((job) => this.#reload(job.id)));
  }

  async #load() {
    const page = await this.api.get("/api/jobs?mine=true&limit=50");
    const told = page.items.filter((/** @type {any} */ job) => job.bidCount || job.hiredBidId);
    this.#bids = new Map(await Promise.all(told.map(async (/** @type {any} */ job) => [job.id, await this.#bidsOf(job.id)])));
    this.#jobs = page.items;
    this.#render();
  }

  /** @param {string} id @returns {Promise<any[]>} */
  async #bidsOf(id) {
    return (await this.api.get(`/api/jobs/${id}/bids?limit=100`)).items;
  }

  /** @param {string} id */
  async #reload(id) {
    const [job, bids] = await Promise.all([this.api.get(`/api/jobs/${id}`), this.#bidsOf(id)]).catch(() => []);
    if (!job) return this.fresh.ask();
    this.#bids.set(id, bids);
    this.#jobs = this.#jobs.map((old) => (old.id === id ? job : old));
    this.#render();
  }

  /** @param {Record<string, string>} values */
  async #post({ title, description, budget, skills, instant }) {
    const job = { title, description, budget: cents(budget), skills: words(skills), instantAccept: instant === "on" };
    await this.api.post("/api/jobs", job);
    part(this.root, "form").reset();
    await this.fresh.ask();
  }

  /** @param {any} job @param {any} bid */
  async #hire(job, bid) {
    await this.api.send("PATCH", `/api/bids/${bid.id}/hire`).finally(() => this.#reload(job.id));
    cardOf(this.root, job.id)?.focus();
  }

  #render() {
    part(this.root, "empty").hidden = this.#jobs.length > 0;
    showAll(part(this.root, "jobs"), this.#jobs, makeCard, (card, job) => this.#show(card, job));
  }

  /** @param {HTMLElement} card @param {any} job */
  #show(card, job) {
    const bids = this.#bids.get(job.id) ?? [];
    showJob(card, job, job.bidCount === 1 ? "1 bid" : `${job.bidCount} bids`);
    showAll(part(card, "bids"), bids, (bid) => this.#makeBid(job, bid), (element, bid) => showBid(element, bid, job));
    showSteps(card, job, "owner", this.api, () => this.#reload(job.id));
  }

  /** @param {any} job @param {any} bid */
  #makeBid(job, bid) {
    const element = copy("bid");
    const hire = part(element, "hire");
    hire.setAttribute("aria-label", `Hire ${bid.freelancer.name}`);
    hire.addEventListener("click", () => attempt(element, () => this.#hire(job, bid), hire));
    return element;
  }
}

function makeCard() {
  const card = makeJob("");
  const bids = document.createElement("ul");
  bids.dataset.part = "bids";
  bids.className = "bids";
  bids.ariaLabel = "Bids";
  part(card, "below").append(bids);
  return card;
}

/** @param {HTMLElement} element @param {any} bid @param {any} job */
function showBid(element, bid, job) {
  write(element, { name: bid.freelancer.name, price: money(bid.price, job.currency), message: bid.message });
  writeStatus(element, bid.status);
  part(element, "hire").hidden = bid.status !== "pending" || job.status !== "open";
}
