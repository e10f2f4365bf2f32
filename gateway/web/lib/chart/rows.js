// Rows of a sensor as columns: cut, merged without doubles, broken at gaps.  Pure; times are ms, strictly rising.

/** @typedef {import("./plot.js").Column} Column
 * @typedef {{t: number[], mid: Column[], lo: Column[] | null, hi: Column[] | null}} Rows
 * A column a field.  null breaks a line, undefined (the row lacks the field) does not.  `lo`, `hi`: an envelope's edges. */

const GAP_INTERVALS = 6;
const GAP_LONG_INTERVALS = 3;
const SAMPLED_MAX = 400;
export const SAME_MS = 0.002; // a number holds today's nanoseconds to 256: the same reading comes with two times

/** @param {number} fields @returns {Rows} */
export const empty = (fields) => ({ t: [], mid: Array.from({ length: fields }, () => []), lo: null, hi: null });

/** An answer of /v1/readings.  An envelope's row stands in the middle of its bucket.
 * @param {{columns: Record<string, any[]>, rows: number}} answer @param {string[]} fields @param {number} [bucket_ms]  0: raw rows */
export function fromAnswer({ columns }, fields, bucket_ms = 0) {
  const t = columns.t.map((ns) => ns / 1e6 + bucket_ms / 2);
  const none = () => Array(t.length).fill(undefined);
  const of = (/** @type {string} */ part) => fields.map((f) => columns[f + part]?.map((v) => v ?? undefined) ?? none());
  return rising(bucket_ms ? { t, mid: of("_mean"), lo: of("_min"), hi: of("_max") } : { t, mid: of(""), lo: null, hi: null });
}

/** A `readings` event. @param {{t: number[], values: Record<string, (number | null)[]>}} event @param {string[]} fields */
export function fromEvent({ t, values }, fields) {
  const mid = fields.map((f) => values[f]?.map((v) => v ?? undefined) ?? Array(t.length).fill(undefined));
  return rising({ t, mid, lo: null, hi: null });
}

/** How wide the store makes an envelope's buckets: whole milliseconds. @param {number} from @param {number} to @param {number} points */
export const bucketMs = (from, to, points) => Math.max(1, Math.ceil(Math.ceil(to - Math.floor(from)) / points));

/** In order of time; of rows of one time the first stays. @param {Rows} rows @returns {Rows} */
export function rising(rows) {
  const { t } = rows;
  if (t.every((at, k) => k === 0 || at > t[k - 1])) return rows;
  const order = t.map((_, k) => k).sort((a, b) => t[a] - t[b] || a - b);
  return pick(rows, order.filter((k, place) => place === 0 || t[k] > t[order[place - 1]]));
}

/** Both, by time; of two rows of one time that of `a` stays. @param {Rows} a @param {Rows} b */
export function merged(a, b) {
  if (!b.t.length) return a;
  const both = joined(a, b);
  return !a.t.length || b.t[0] > a.t[a.t.length - 1] ? both : rising(both);
}

/** One behind the other, as they are; where only one is an envelope the other's rows are their own edges. @param {Rows} a @param {Rows} b @returns {Rows} */
export function joined(a, b) {
  const columns = (/** @type {Column[]} */ x, /** @type {Column[]} */ y) => x.map((column, k) => column.concat(y[k]));
  const edged = a.lo || b.lo;
  return {
    t: a.t.concat(b.t),
    mid: columns(a.mid, b.mid),
    lo: edged ? columns(a.lo ?? a.mid, b.lo ?? b.mid) : null,
    hi: edged ? columns(a.hi ?? a.mid, b.hi ?? b.mid) : null,
  };
}

/** Those with from <= t < to. @param {Rows} rows @param {number} from @param {number} to */
export const cut = (rows, from, to) => sliced(rows, firstAt(rows.t, from), firstAt(rows.t, to));

/** The visible rows and one more at either side, so that lines leave the picture. @param {Rows} rows @param {number} from @param {number} to */
export const around = (rows, from, to) => sliced(rows, Math.max(0, firstAt(rows.t, from) - 1), firstAt(rows.t, to) + 1);

/** @param {Rows} rows @param {number} from @param {number} to @returns {Rows} */
export function sliced(rows, from, to) {
  if (from === 0 && to >= rows.t.length) return rows;
  const columns = (/** @type {Column[]} */ of) => of.map((column) => column.slice(from, to));
  return { t: rows.t.slice(from, to), mid: columns(rows.mid), lo: rows.lo && columns(rows.lo), hi: rows.hi && columns(rows.hi) };
}

/** The first place whose time is not before `at`. @param {number[]} t @param {number} at */
export function firstAt(t, at) {
  let low = 0;
  let high = t.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (t[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** From how long on nothing is a gap, ms: some usual intervals.  Infinity where nothing is usual yet.
 * @param {number[]} t @param {boolean} [regular]  an envelope's: an interval is a bucket, so fewer will do */
export function gapMs(t, regular = false) {
  const step = Math.max(1, Math.floor(t.length / SAMPLED_MAX));
  const between = [];
  for (let k = 1; k < t.length; k += step) between.push(t[k] - t[k - 1]);
  if (between.length < 4) return Infinity;
  between.sort((a, b) => a - b);
  const usual = regular ? 0 : GAP_INTERVALS * between[between.length >> 1];
  return Math.max(usual, GAP_LONG_INTERVALS * between[Math.floor(between.length * 0.9)]);
}

/** With an empty row in every gap. @param {Rows} rows @param {number} gap_ms @returns {Rows} */
export function broken(rows, gap_ms) {
  const { t } = rows;
  const holes = [];
  for (let k = 1; k < t.length; k++) if (t[k] - t[k - 1] > gap_ms) holes.push(k);
  if (!holes.length) return rows;
  const with_ = (/** @type {any[]} */ column, /** @type {(k: number) => any} */ made) => {
    const out = [];
    let from = 0;
    for (const hole of holes) {
      for (; from < hole; from++) out.push(column[from]);
      out.push(made(hole));
    }
    return out.concat(column.slice(from));
  };
  const columns = (/** @type {Column[]} */ of) => of.map((column) => with_(column, () => null));
  return { t: with_(t, (k) => (t[k - 1] + t[k]) / 2), mid: columns(rows.mid), lo: rows.lo && columns(rows.lo), hi: rows.hi && columns(rows.hi) };
}

/** Rows as the store's envelope has them: a row a bucket, its mean and edges.  The last bucket is of what came so far.
 * @param {Rows} rows @param {number} bucket_ms @returns {Rows} */
export function enveloped(rows, bucket_ms) {
  const { t, mid } = rows;
  const starts = t.map((_, k) => k).filter((k) => k === 0 || Math.floor(t[k] / bucket_ms) !== Math.floor(t[k - 1] / bucket_ms));
  const parts = mid.map((column) => starts.map((from, k) => edges(column, from, starts[k + 1] ?? t.length)));
  const of = (/** @type {number} */ part) => parts.map((column) => column.map((found) => found?.[part]));
  return { t: starts.map((from, k) => (t[from] + t[(starts[k + 1] ?? t.length) - 1]) / 2), mid: of(0), lo: of(1), hi: of(2) };
}

/** Mean, least and most; undefined where there is no value. @param {Column} column @param {number} from @param {number} to */
function edges(column, from, to) {
  let [sum, n, low, high] = [0, 0, Infinity, -Infinity];
  for (let k = from; k < to; k++) {
    const v = column[k];
    if (v === null || v === undefined) continue;
    sum += v;
    n++;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return n ? [sum / n, low, high] : undefined;
}

/** History under live rows: what live rows cover is theirs, where they have a gap history stays.
 * @param {Rows} old @param {Rows} live @param {number} gap_ms  from how long on live rows leave a gap @returns {Rows} */
export function under(old, live, gap_ms) {
  if (!live.t.length || !old.t.length) return live.t.length ? live : old;
  const { t } = live;
  const kept = old.t.map((_, k) => k).filter((k) => {
    const next = firstAt(t, old.t[k]);
    const [before, after] = [t[next - 1] ?? -Infinity, t[next] ?? Infinity];
    if (old.t[k] - before < SAME_MS || after - old.t[k] < SAME_MS) return false;
    return next === 0 || next === t.length || after - before > gap_ms;
  });
  return rising(joined(kept.length === old.t.length ? old : pick(old, kept), live));
}

/** @param {Rows} rows @param {number[]} at @returns {Rows} */
function pick(rows, at) {
  const columns = (/** @type {Column[]} */ of) => of.map((column) => at.map((k) => column[k]));
  return { t: at.map((k) => rows.t[k]), mid: columns(rows.mid), lo: rows.lo && columns(rows.lo), hi: rows.hi && columns(rows.hi) };
}
