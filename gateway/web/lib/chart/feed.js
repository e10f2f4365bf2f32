// What a live chart draws of one sensor: history from the store, and over it what came live since.

import { api, isAborted } from "../api.js";
import { around, broken, bucketMs, empty, enveloped, fromAnswer, fromEvent, gapMs, merged, sliced, under } from "./rows.js";
import { spanOf } from "./window.js";

/** @typedef {import("./rows.js").Rows} Rows @typedef {import("./plot.js").View} View
 * @typedef {{from: number, to: number, asked: number, bucket_ms: number, rows: Rows, gap_ms: number}} Loaded
 * `asked`: when; `bucket_ms` 0: raw rows */

const LIVE_ROWS_MAX = 20_000;
const RAW_ROWS_MAX = 6_000;
const DENSE = 3; // live rows a bucket
const WAIT_MS = 120; // while somebody pans, one question will do
const POLL_MS = 3_000; // where nothing comes live
const HOLE_WAIT_MS = 700;
const HOLE_MS_MAX = 5_000;
const HOLE_TRIES = 4;

export class Feed {
  /** @param {{device: string, sensor: string, fields: string[], signal: AbortSignal, changed: () => void, failed: (error: any) => void}} of */
  constructor({ device, sensor, fields, signal, changed, failed }) {
    this.device = device;
    this.sensor = sensor;
    this.fields = fields;
    this.changed = changed;
    this.failed = failed;
    this.signal = signal;
    /** @type {Loaded | null} */
    this.loaded = null;
    this.live = empty(fields.length);
    this.since = Infinity; // from then on all came live, by this machine's clock
    this.isLoading = false;
    this.questions = 0; // how many were asked: a test counts them
    this.per_ms = 0; // rows, as far as is known
    this.holes = 0;
    this.asked = 0;
    /** @type {AbortController | null} */
    this.asking = null;
    this.timer = 0;
    signal.addEventListener("abort", () => this.stop());
  }

  /** The stream begins, or it has lost something: from now on all comes live, and the store has what was before. */
  begin() {
    this.since = Date.now();
    this.holes = 0;
  }

  /** A `readings` event's rows.  Returns whether anything was new. @param {any} event */
  take(event) {
    const before = this.live.t.length;
    this.live = merged(this.live, fromEvent(event, this.fields));
    const isNew = this.live.t.length !== before;
    if (this.live.t.length > LIVE_ROWS_MAX) this.fold();
    return isNew;
  }

  /** The older half of the live rows becomes history; history that grew too long is asked for anew, thinned. */
  fold() {
    const half = this.live.t.length >> 1;
    if (this.loaded) {
      const rows = under(this.loaded.rows, sliced(this.live, 0, half), gapMs(this.live.t));
      this.loaded = { ...this.loaded, rows };
      if (rows.t.length > 2 * LIVE_ROWS_MAX) this.since = Date.now();
    }
    this.live = sliced(this.live, half, Infinity);
  }

  /** The newest time that is known, ms, or null. */
  get newest() {
    return this.live.t.at(-1) ?? this.loaded?.rows.t.at(-1) ?? null;
  }

  /** Ask the store for what this view lacks; a question that is open and no longer fits is given up.
   * @param {View} view @param {number} width_px @param {{isLive?: boolean, wait_ms?: number}} [how]  live: it will move on by itself */
  want(view, width_px, { isLive = false, wait_ms = WAIT_MS } = {}) {
    if (this.signal.aborted || this.fits(view, width_px)) return;
    if (this.since === Infinity && this.reaches(view) && Date.now() - this.asked < POLL_MS) return;
    const pending = this.pending;
    if (pending && pending.from <= view.from && pending.to >= view.to && spanOf(pending) < 4 * spanOf(view)) return;
    clearTimeout(this.timer);
    const room = spanOf(view) * (isLive ? 0.25 : 0.5);
    this.pending = { from: Math.floor(Math.max(0, view.from - room)), to: Math.ceil(view.to + (isLive ? 1_000 : room)) };
    this.timer = window.setTimeout(() => void this.load(view, width_px), wait_ms);
  }

  /** What is loaded begins early enough, and would be fine enough. @param {View} view */
  reaches(view) {
    return this.loaded !== null && this.loaded.from <= view.from;
  }

  /** @param {View} view @param {number} width_px */
  fits(view, width_px) {
    const { loaded, live } = this;
    if (!loaded || loaded.from > view.from) return false;
    if (loaded.to < view.to && loaded.asked < this.since) return false;
    return loaded.bucket_ms <= Math.max(1, (2.5 * spanOf(view)) / width_px) || (live.t[0] ?? Infinity) <= view.from;
  }

  /** @param {View} view @param {number} width_px */
  async load(view, width_px) {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const { from, to } = this.pending ?? { from: Math.floor(view.from), to: Math.ceil(view.to) };
    this.isLoading = true;
    this.asked = Date.now();
    this.changed();
    try {
      this.loaded = await this.ask({ from, to }, Math.round(Math.max(300, 2 * width_px)), asking.signal);
      this.pending = null;
      this.mend(view, width_px);
    } catch (error) {
      if (isAborted(error) || asking.signal.aborted) return; // another question took its place
      this.pending = null;
      this.failed(error);
    } finally {
      if (this.asking === asking) this.isLoading = false;
      this.changed();
    }
  }

  /** Raw rows where they are few, else an envelope. @param {View} span @param {number} points @param {AbortSignal} signal @returns {Promise<Loaded>} */
  async ask(span, points, signal) {
    const asked = Date.now();
    const width_ms = spanOf(span);
    const bucket_ms = bucketMs(span.from, span.to, points);
    if (this.per_ms * width_ms > 0 && this.per_ms * width_ms < RAW_ROWS_MAX) {
      const raw = await this.question(span, { limit: 2 * RAW_ROWS_MAX }, signal);
      if (!raw.truncated) return this.made(span, asked, raw, 0);
    }
    const answer = await this.question(span, { points }, signal);
    const { t, count } = answer.columns;
    const rows = count.reduce((/** @type {number} */ sum, /** @type {number} */ n) => sum + n, 0);
    if (t.length) this.per_ms = rows / ((t[t.length - 1] - t[0]) / 1e6 + bucket_ms);
    if (rows > 0 && rows < RAW_ROWS_MAX) {
      const raw = await this.question(span, { limit: 2 * RAW_ROWS_MAX }, signal);
      if (!raw.truncated) return this.made(span, asked, raw, 0);
    }
    return this.made(span, asked, answer, bucket_ms);
  }

  /** @param {View} span @param {Record<string, number>} how @param {AbortSignal} signal */
  question({ from, to }, how, signal) {
    this.questions++;
    const ns = (/** @type {number} */ ms) => String(BigInt(ms) * 1_000_000n);
    const params = { device: this.device, sensor: this.sensor, from: ns(from), to: ns(to), ...how };
    return api.get("/v1/readings", { params, signal: AbortSignal.any([signal, this.signal]) });
  }

  /** @param {View} span @param {number} asked @param {any} answer @param {number} bucket_ms @returns {Loaded} */
  made({ from, to }, asked, answer, bucket_ms) {
    const rows = fromAnswer(answer, this.fields, bucket_ms);
    return { from, to: Math.min(to, Math.max(asked, rows.t.at(-1) ?? 0)), asked, bucket_ms, rows, gap_ms: gapMs(rows.t, bucket_ms > 0) };
  }

  /** What lies between the store's answer and the first live row was on its way: ask again in a moment.
   * @param {View} view @param {number} width_px */
  mend(view, width_px) {
    const last = this.loaded?.rows.t.at(-1);
    const first = this.live.t[0];
    if (!this.loaded || last === undefined || first === undefined || first < view.from || first > view.to) return;
    const hole = first - last > Math.max(3 * this.loaded.bucket_ms, Math.min(this.loaded.gap_ms, HOLE_MS_MAX));
    if (!hole || this.holes++ >= HOLE_TRIES) return;
    this.timer = window.setTimeout(() => void this.load(view, width_px), HOLE_WAIT_MS);
  }

  /** The rows to draw, with a break in every gap. @param {View} view @returns {Rows} */
  rows(view) {
    const old = this.loaded ? around(this.loaded.rows, view.from, view.to) : empty(this.fields.length);
    const live = this.fine(around(this.live, view.from, view.to));
    const live_gap_ms = gapMs(live.t, live.lo !== null);
    const gap_ms = Math.max(this.loaded && old.t.length ? this.loaded.gap_ms : 0, live.t.length && Number.isFinite(live_gap_ms) ? live_gap_ms : 0);
    return broken(under(old, live, Math.max(live_gap_ms, 2 * (this.loaded?.bucket_ms ?? 0))), gap_ms || Infinity);
  }

  /** Live rows as dense as the history beside them: an envelope goes on as an envelope. @param {Rows} live */
  fine(live) {
    const { bucket_ms = 0 } = this.loaded ?? {};
    const span_ms = (live.t.at(-1) ?? 0) - (live.t[0] ?? 0);
    return bucket_ms && live.t.length * bucket_ms > DENSE * span_ms ? enveloped(live, bucket_ms) : live;
  }

  stop() {
    clearTimeout(this.timer);
    this.asking?.abort();
  }
}
