// Which lane may send, and when a backlog becomes one of its own.  Pure: time is an argument.
//
//     live       this session: sends whenever it has something
//     backlog    older sessions: waits while more than one live batch does, and is paid by the byte
//     outage     the live lane got nothing through for ten minutes: at the first batch that goes through again, what has
//                gathered becomes backlog and a new session begins, so that live readings are live at once

export const BACKLOG_BYTES_PER_S = 256 * 1024;
export const OUTAGE_MS = 600_000;
const LIVE_BATCHES_MAX = 1; // one is in flight: that is no queue
const BURST_MS = 1000;

/** True while live data waits. @param {number} live_batches */
export const isBacklogPaused = (live_batches) => live_batches > LIVE_BATCHES_MAX;

/** A token bucket one second deep that may go into debt: a batch is sent whole. */
export class Throttle {
  /** @param {number} [bytes_per_s] */
  constructor(bytes_per_s = BACKLOG_BYTES_PER_S) {
    this.bytes_per_s = bytes_per_s;
    this.paid_until_ms = -Infinity;
  }

  /** Until something may be sent. @param {number} now_ms */
  wait_ms(now_ms) {
    return Math.max(0, this.paid_until_ms - now_ms);
  }

  /** @param {number} size_bytes @param {number} now_ms */
  took(size_bytes, now_ms) {
    this.paid_until_ms = Math.max(this.paid_until_ms, now_ms - BURST_MS) + (size_bytes / this.bytes_per_s) * 1000;
  }
}

/** Notices, from the live lane's sends, that there was a long outage. */
export class Outage {
  /** @type {number | null} */ #since_ms = null;

  /** A send did not get through. @param {number} now_ms */
  failed(now_ms) {
    this.#since_ms ??= now_ms;
  }

  /** One did, and leaves so many live batches: is it time for a new session? @param {number} now_ms @param {number} live_batches */
  gotThrough(now_ms, live_batches) {
    const silent_ms = this.#since_ms === null ? 0 : now_ms - this.#since_ms;
    this.#since_ms = null;
    return silent_ms >= OUTAGE_MS && live_batches > LIVE_BATCHES_MAX;
  }
}
