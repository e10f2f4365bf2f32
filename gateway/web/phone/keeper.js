// Cuts -> the spool, in order; in memory for as long as the disk takes nothing.  Bounded: then the oldest of them becomes
// a gap, which a tombstone announces as soon as the disk takes something again.

const WAITING_BYTES_MAX = 4 * 1024 * 1024;
const AGAIN_MS = 2000;

const isQuota = (/** @type {unknown} */ error) => error instanceof DOMException && error.name === "QuotaExceededError";

/** @typedef {{cut: import("./batcher.js").Cut} | {gap: number} | {session: [device: string, session: string, epoch: string]}} Item */

export class Keeper {
  /** @param {import("./spool.js").Spool} spool */
  constructor(spool) {
    this.spool = spool;
    /** @type {"" | "full" | "failed"} */ this.trouble = "";
    this.hurry = false; // the page may be gone in a moment
    this.waiting_readings = 0;
  }

  /** @type {Item[]} */ #items = [];
  #waiting_bytes = 0;
  /** @type {Promise<void> | null} */ #working = null;

  /** @param {import("./batcher.js").Cut} cut */
  add(cut) {
    this.waiting_readings += cut.readings;
    this.#waiting_bytes += cut.tail.length;
    this.#items.push({ cut });
    this.#bound();
    this.#work();
  }

  /** What comes after this is another session's. @param {string} device @param {string} session @param {string} epoch */
  begin(device, session, epoch) {
    this.#items.push({ session: [device, session, epoch] });
    this.#work();
  }

  /** Resolves when all that was added until now is on disk, or cannot be for now. */
  async settled() {
    await this.#working;
  }

  /** Forget what the disk did not take; call it when `settled`. */
  clear() {
    this.#items = this.#items.filter((item) => "session" in item);
    this.waiting_readings = 0;
    this.#waiting_bytes = 0;
  }

  #work() {
    this.#working ??= this.#all().finally(() => {
      this.#working = null;
      if (this.#items.length) setTimeout(() => this.#work(), AGAIN_MS);
    });
  }

  async #all() {
    for (let item = this.#items[0]; item; item = this.#items[0]) {
      if (!(await this.#kept(item))) return;
      this.#items.shift();
      if ("cut" in item) this.#forget(item.cut);
    }
  }

  /** @param {Item} item */
  async #kept(item) {
    try {
      await this.#keep(item).catch((error) => this.#keepInLess(item, error));
      this.trouble = "";
      return true;
    } catch (error) {
      this.trouble = isQuota(error) ? "full" : "failed";
      console.warn("a batch could not be kept, trying again:", error);
      return false;
    }
  }

  /** The disk has no more room than is taken: the oldest make room. @param {Item} item @param {unknown} error */
  async #keepInLess(item, error) {
    if (!isQuota(error) || this.spool.totals.batches < 2) throw error; // nothing to drop: it waits in memory
    this.spool.shrink();
    try {
      await this.#keep(item);
    } finally {
      this.spool.restore(); // there may be room again the next time
    }
  }

  /** @param {Item} item */
  #keep(item) {
    if ("cut" in item) return this.spool.put(item.cut, Date.now(), this.hurry);
    if ("gap" in item) return this.spool.putGap(item.gap, Date.now());
    return this.spool.begin(...item.session);
  }

  /** The first is being written, so it is let be. */
  #bound() {
    while (this.#waiting_bytes > WAITING_BYTES_MAX) {
      const at = this.#items.findIndex((item, k) => k > 0 && "cut" in item);
      if (at < 0) return;
      const { cut } = /** @type {{cut: import("./batcher.js").Cut}} */ (this.#items[at]);
      const before = this.#items[at - 1];
      if (at > 1 && "gap" in before) {
        before.gap += cut.readings;
        this.#items.splice(at, 1);
      } else this.#items[at] = { gap: cut.readings };
      this.#forget(cut);
    }
  }

  /** @param {import("./batcher.js").Cut} cut */
  #forget(cut) {
    this.waiting_readings -= cut.readings;
    this.#waiting_bytes -= cut.tail.length;
  }
}
