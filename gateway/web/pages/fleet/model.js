// What the fleet page knows of each device: when it was heard of, how much it sends, what is wrong.  Pure.

import { isLow, stateOf } from "../../lib/seen.js";

/** @typedef {{id: string, device: string, severity: string, open: boolean, version: number, label: any}} Anomaly */

const BARS = 60;
const BAR_MS = 2_000;
const RATE_MS = 10_000;
const WORST = ["critical", "warning", "info"];

/** How many readings came when, over the last two minutes. */
export class Rates {
  constructor() {
    this.counts = new Float64Array(BARS);
    this.bar = 0; // the newest one's number since the epoch
    this.first = 0; // one came in the middle of this: it tells no rate
  }

  /** @param {number} at  ms @param {number} n */
  add(at, n) {
    const bar = Math.floor(at / BAR_MS);
    if (bar <= this.bar - BARS) return;
    this.first ||= bar;
    this.turn(bar);
    this.counts[bar % BARS] += n;
  }

  /** @param {number} bar */
  turn(bar) {
    for (let k = Math.max(this.bar + 1, bar - BARS + 1); k <= bar; k++) this.counts[k % BARS] = 0;
    this.bar = Math.max(this.bar, bar);
  }

  /** Readings a second, of the last bars that are over; null: too early to say. @param {number} now */
  perSecond(now) {
    if (!this.first) return 0; // nothing came
    const bars = Math.min(RATE_MS / BAR_MS, Math.floor(now / BAR_MS) - 1 - this.first);
    return bars > 0 ? this.last(now, bars).reduce((sum, n) => sum + n, 0) / ((bars * BAR_MS) / 1000) : null;
  }

  /** Counts by bar, oldest first; the bar that goes on is not among them. @param {number} now @param {number} [bars] @returns {number[]} */
  last(now, bars = BARS - 1) {
    const newest = Math.floor(now / BAR_MS) - 1;
    return Array.from({ length: bars }, (_, k) => {
      const bar = newest - bars + 1 + k;
      return bar > this.bar || bar <= this.bar - BARS || bar <= this.first ? 0 : this.counts[bar % BARS];
    });
  }
}

export class Device {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    /** @type {number | null} */
    this.seen_ms = null;
    /** @type {string[]} */
    this.sensors = [];
    /** @type {{level?: number | null, state?: string | null} | null} */
    this.battery = null;
    /** @type {Map<string, Anomaly>} */
    this.open = new Map();
    this.rates = new Rates();
  }

  /** An anomaly as it is now: open ones that nobody dismissed are kept. @param {Anomaly} one */
  anomaly(one) {
    const before = this.open.get(one.id);
    if (before && before.version > one.version) return;
    if (one.open && one.label?.verdict !== "false") this.open.set(one.id, one);
    else this.open.delete(one.id);
  }

  /** @param {any} event  a pulse */
  pulse(event) {
    this.seen_ms = Math.max(this.seen_ms ?? 0, event.received);
    this.rates.add(event.received, event.readings);
    if (event.battery) this.battery = { ...this.battery, ...event.battery };
  }

  /** The worst severity that is open, or null. */
  get worst() {
    return WORST.find((severity) => [...this.open.values()].some((one) => one.severity === severity)) ?? null;
  }

  /** @param {number} now */
  state(now) {
    return stateOf(this.seen_ms, now);
  }

  /** The smaller, the sooner somebody should look. @param {number} now */
  rank(now) {
    const state = this.state(now);
    const places = [this.worst === "critical", this.worst === "warning", state === "silent", state === "quiet", isLow(this.battery), this.worst === "info", state === "never"];
    const place = places.indexOf(true);
    return place < 0 ? places.length : place;
  }
}

const BY_NAME = new Intl.Collator("en", { numeric: true });

/** What needs a look first, then by name. @param {Device[]} devices @param {number} now */
export function ordered(devices, now) {
  const ranks = new Map(devices.map((d) => [d, d.rank(now)]));
  return [...devices].sort((a, b) => /** @type {number} */ (ranks.get(a)) - /** @type {number} */ (ranks.get(b)) || BY_NAME.compare(a.name, b.name));
}

/** @param {Device} device @param {{name: string, state: string}} filter  state: "", a state, or "anomaly" @param {number} now */
export function fits(device, { name, state }, now) {
  if (name && !device.name.toLowerCase().includes(name.toLowerCase())) return false;
  if (state === "anomaly") return device.open.size > 0;
  return !state || device.state(now) === state;
}

/** @param {Iterable<Device>} devices @param {number} now */
export function figures(devices, now) {
  /** @type {{devices: number, live: number, per_s: number | null, open: number}} `per_s`: null while it is too early to say */
  const sums = { devices: 0, live: 0, per_s: null, open: 0 };
  let early = false;
  for (const device of devices) {
    sums.devices++;
    const isLive = device.state(now) === "live";
    if (isLive) sums.live++;
    const per_s = device.rates.first ? device.rates.perSecond(now) : null;
    if (per_s !== null) sums.per_s = (sums.per_s ?? 0) + per_s;
    else if (isLive) early = true; // it sends, and nobody knows yet how much
    sums.open += device.open.size;
  }
  if (!early) sums.per_s ??= 0;
  return sums;
}
