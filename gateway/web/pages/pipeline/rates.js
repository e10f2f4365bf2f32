// Rates as differences of counts, for a chart of five minutes and a number that does not jump.  Pure.

const KEPT_MS = 300_000;
const SMOOTH_MS = 8_000; // the store is flushed in steps: a shorter span would show them

/** @typedef {{at: number, t_ms: number, readings: number, batches: number, begins: boolean}} Count  `at` on a steady clock */

export class Rates {
  constructor() {
    /** @type {Count[]} */
    this.counts = [];
    this.isPaused = true;
  }

  /** Nothing was asked for a while: no rate spans that. */
  pause() {
    this.isPaused = true;
  }

  /** @param {number} at  ms, steady @param {number} t_ms  since the epoch @param {{readings: number, batches: number}} stats */
  add(at, t_ms, { readings, batches }) {
    this.counts.push({ at, t_ms, readings, batches, begins: this.isPaused });
    this.isPaused = false;
    while (this.counts[0].t_ms < t_ms - KEPT_MS) this.counts.shift();
  }

  /** The rates now, by the last seconds; null before two counts are known. */
  now() {
    const last = this.counts.at(-1);
    if (!last || last.begins) return null;
    let from = this.counts.length - 1;
    while (from > 0 && !this.counts[from].begins && last.at - this.counts[from].at < SMOOTH_MS) from -= 1;
    return rate(this.counts[from], last);
  }

  /** What to draw; null where nothing was asked. */
  series() {
    const t_ms = this.counts.map((one) => one.t_ms).filter((t, k, all) => k === 0 || t > all[k - 1]);
    const rates = this.counts.map((one, k) => (k === 0 || one.begins ? null : rate(this.counts[k - 1], one))).slice(-t_ms.length);
    const begin = (t_ms.at(-1) ?? 0) - KEPT_MS;
    if (t_ms.length && t_ms[0] > begin) (t_ms.unshift(begin), rates.unshift(null)); // the chart is always as wide
    return { t_ms, readings: rates.map((one) => one && one.readings), batches: rates.map((one) => one && one.batches) };
  }
}

/** Retention takes readings away: less than nothing did not come. @param {Count} a @param {Count} b */
function rate(a, b) {
  const s = Math.max((b.at - a.at) / 1000, 0.001);
  return { readings: Math.max(0, b.readings - a.readings) / s, batches: Math.max(0, b.batches - a.batches) / s };
}
