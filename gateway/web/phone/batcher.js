// Readings -> cuts: what the next batches hold, before they are given a seq.  Pure: time is an argument.
//
// A cut falls when the next reading would exceed the size or the count, or when the oldest has waited the period.

import { SENSORS } from "./catalogue.js";
import { nanoseconds, text } from "./numbers.js";

export const SIZE_BYTES_MAX = 64 * 1024;
export const READINGS_MAX = 20_000;
export const PERIOD_MS = 1000;
const ENVELOPE_BYTES = 256; // a batch's identity at its longest
const SERIES_BYTES = 300; // a series' names and brackets at their longest

/** `tail` is the batch's JSON after its identity, of ASCII characters alone.
 * @typedef {{tail: string, readings: number}} Cut
 * @typedef {{t0_us: number, dt: string[], columns: string[][]}} Pending */

export class Batcher {
  /** @param {{size_bytes_max?: number, readings_max?: number, period_ms?: number}} [limits] */
  constructor({ size_bytes_max = SIZE_BYTES_MAX, readings_max = READINGS_MAX, period_ms = PERIOD_MS } = {}) {
    this.limits = { size_bytes_max, readings_max, period_ms };
    this.#clear();
  }

  /** @type {Map<string, Pending>} */ #pending = new Map();
  #readings = 0;
  #size_bytes = ENVELOPE_BYTES;
  /** @type {number | null} */ #oldest_ms = null;

  /** Readings that are in no cut yet. */
  get readings() {
    return this.#readings;
  }

  /** Take one reading; the cut that it made due, or null; false when nothing of it is a value.
   * @param {string} sensor @param {number} t_us  UTC, whole microseconds @param {Record<string, any>} values
   * @param {number} now_ms  monotonic @returns {Cut | null | false} */
  append(sensor, t_us, values, now_ms) {
    const fields = SENSORS[sensor];
    const texts = fields.map((field) => text(field, values[field.name]));
    if (texts.every((one) => one === "null")) return false;
    const added = texts.reduce((sum, one) => sum + one.length + 1, 0) + 20; // 20: the time
    const opened = this.#pending.has(sensor) ? 0 : SERIES_BYTES;
    const { size_bytes_max, readings_max } = this.limits;
    const is_over = this.#size_bytes + added + opened > size_bytes_max || this.#readings + 1 > readings_max;
    const due = is_over ? this.flush() : this.poll(now_ms);
    this.#put(sensor, t_us, texts);
    this.#size_bytes += added + (due ? SERIES_BYTES : opened);
    this.#readings += 1;
    this.#oldest_ms ??= now_ms;
    return due;
  }

  /** The cut whose period has passed, or null. @param {number} now_ms */
  poll(now_ms) {
    return this.#oldest_ms !== null && now_ms - this.#oldest_ms >= this.limits.period_ms ? this.flush() : null;
  }

  /** Everything pending, or null when nothing is. @returns {Cut | null} */
  flush() {
    if (!this.#readings) return null;
    const series = [...this.#pending].map(([sensor, pending]) => written(sensor, pending));
    const cut = { tail: `"series":[${series.join(",")}]}`, readings: this.#readings };
    this.#clear();
    return cut;
  }

  /** @param {string} sensor @param {number} t_us @param {string[]} texts */
  #put(sensor, t_us, texts) {
    let pending = this.#pending.get(sensor);
    if (!pending) {
      pending = { t0_us: t_us, dt: [], columns: texts.map(() => []) };
      this.#pending.set(sensor, pending);
    }
    pending.dt.push(String((t_us - pending.t0_us) * 1000)); // exact for 104 days
    texts.forEach((one, k) => pending.columns[k].push(one));
  }

  #clear() {
    this.#pending = new Map();
    this.#readings = 0;
    this.#size_bytes = ENVELOPE_BYTES;
    this.#oldest_ms = null;
  }
}

/** @param {string} sensor @param {Pending} pending */
function written(sensor, { t0_us, dt, columns }) {
  const values = SENSORS[sensor]
    .map(({ name }, k) => (columns[k].some((one) => one !== "null") ? `"${name}":[${columns[k].join(",")}]` : ""))
    .filter(Boolean); // a field that no reading has is absent
  return `{"sensor":"${sensor}","t0":${nanoseconds(t0_us)},"dt":[${dt.join(",")}],"values":{${values.join(",")}}}`;
}
