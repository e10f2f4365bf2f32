// Readings a second of each sensor, over the last seconds.  Pure: time is an argument.

const SECONDS = 3;

export class Gauge {
  /** @type {Map<string, number[]>} */ #counts = new Map(); // of the last whole seconds and this one, the newest last
  /** @type {Map<string, Record<string, any>>} */ last = new Map();
  #second = 0;

  /** @param {string} sensor @param {Record<string, any>} values @param {number} now_ms */
  count(sensor, values, now_ms) {
    this.#roll(now_ms);
    const counts = this.#counts.get(sensor) ?? [0];
    counts[counts.length - 1] += 1;
    this.#counts.set(sensor, counts);
    this.last.set(sensor, values);
  }

  /** Readings a second, by sensor. @param {number} now_ms @returns {Record<string, number>} */
  rates(now_ms) {
    this.#roll(now_ms);
    const rate = (/** @type {number[]} */ counts) => {
      const whole = counts.slice(0, -1);
      return whole.length ? whole.reduce((a, b) => a + b, 0) / whole.length : counts[0];
    };
    return Object.fromEntries([...this.#counts].map(([sensor, counts]) => [sensor, rate(counts)]));
  }

  /** @param {string} sensor */
  forget(sensor) {
    this.#counts.delete(sensor);
    this.last.delete(sensor);
  }

  clear() {
    this.#counts.clear();
    this.last.clear();
  }

  /** @param {number} now_ms */
  #roll(now_ms) {
    const second = Math.floor(now_ms / 1000);
    const passed = Math.min(second - this.#second, SECONDS + 1);
    this.#second = second;
    for (const [sensor, counts] of this.#counts)
      this.#counts.set(sensor, [...counts, ...Array(Math.max(0, passed)).fill(0)].slice(-SECONDS - 1));
  }
}
