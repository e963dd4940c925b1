/** Reports notifications that were in view for a second. */

const SEEN_AFTER_MS = 1_000;
const BATCH_MS = 250;

export class SeenTracker {
  #observer;
  /** Timers of the elements in view. */
  #timers = new Map();
  #batch = new Set();

  /** @param {Element} root the scrolled element @param {(ids: string[]) => void} report */
  constructor(root, report) {
    this.report = report;
    this.#observer = new IntersectionObserver((entries) => this.#changed(entries), { root, threshold: 0.6 });
  }

  /** Observe an element with the notification in `item`. @param {HTMLElement} element */
  observe(element) {
    this.#observer.observe(element);
  }

  /** The page is hidden: nothing in view counts as seen. */
  cancel() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  #changed(entries) {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(this.#timers.get(target));
      this.#timers.delete(target);
      if (isIntersecting && target.item && !target.item.seenAt && target.item.category && !document.hidden) {
        this.#timers.set(
          target,
          setTimeout(() => this.#add(target.item.id), SEEN_AFTER_MS),
        );
      }
    }
  }

  #add(id) {
    if (!this.#batch.size) {
      setTimeout(() => {
        this.report([...this.#batch]);
        this.#batch.clear();
      }, BATCH_MS);
    }
    this.#batch.add(id);
  }
}
