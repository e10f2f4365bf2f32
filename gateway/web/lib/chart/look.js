// How a chart looks: colours from the theme's tokens, axes, and times as a clock says them.

import { number, unit as unitText } from "../format.js";

const TOKENS = ["--x", "--y", "--z", "--w"];
const DASHES = [[], [6, 3], [2, 3]]; // the thirteenth field looks like the first
const LABEL_PX = 7; // a digit of the axis' font
const [SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS] = [1_000, 60_000, 3_600_000, 86_400_000];
const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND_MS), ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR_MS), ...[1, 2, 5, 7, 14, 30, 90].map((n) => n * DAY_MS),
];

/** A token's colour as it is now. @param {string} token */
export const colour = (token) => getComputedStyle(document.documentElement).getPropertyValue(token).trim() || "#888";

/** The token of the k-th field's colour. @param {number} k */
export const tokenOf = (k) => TOKENS[k % TOKENS.length];

/** The k-th field's dashes: a fifth field has the first one's colour. @param {number} k */
export const dashOf = (k) => DASHES[Math.floor(k / TOKENS.length) % DASHES.length];

/** The colour with this much of it left. @param {string} hex  `#rrggbb` @param {number} share  0..1 */
export function faint(hex, share) {
  const found = /^#([0-9a-f]{6})$/i.exec(hex);
  return found ? `#${found[1]}${Math.round(share * 255).toString(16).padStart(2, "0")}` : hex;
}

const clock = (/** @type {Date} */ at, /** @type {Intl.DateTimeFormatOptions} */ o) => at.toLocaleTimeString("en-GB", o);

/** Where a time axis is labelled: round times of the local clock. @param {number} min @param {number} max @param {number} step_ms */
export function timeSplits(min, max, step_ms) {
  const zone_ms = new Date(min).getTimezoneOffset() * MINUTE_MS; // an hour off behind a change of clocks: still a label
  const splits = [];
  for (let at = Math.ceil((min - zone_ms) / step_ms) * step_ms + zone_ms; at <= max; at += step_ms) splits.push(at);
  return splits;
}

/** Labels of a time axis, local time; the day stands where it changes, and at the first.
 * @param {number[]} splits  ms @param {number} step_ms  between them @returns {string[]} */
export function timeLabels(splits, step_ms) {
  let before = "";
  return splits.map((ms) => {
    const at = new Date(ms);
    const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const text = step_ms >= DAY_MS ? "" : clockText(at, step_ms);
    const shown = before !== day && (before !== "" || step_ms >= 3_600_000 || day !== today()) ? [text, day].filter(Boolean).join("\n") : text;
    before = day;
    return shown;
  });
}

const today = () => new Date().toLocaleDateString("en-GB", { day: "numeric", month: "short" });

/** @param {Date} at @param {number} step_ms */
function clockText(at, step_ms) {
  if (step_ms >= 60_000) return clock(at, { hour: "2-digit", minute: "2-digit" });
  const seconds = clock(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const digits = step_ms >= 1000 ? 0 : step_ms >= 100 ? 1 : step_ms >= 10 ? 2 : 3;
  return digits ? `${seconds.slice(3)}.${String(at.getMilliseconds()).padStart(3, "0").slice(0, digits)}` : seconds;
}

/** uPlot's axes: time below, the first unit at the left, the second at the right; others have none.
 * @param {string[]} units */
export function axes(units) {
  const font = "12px system-ui, sans-serif";
  const common = { stroke: () => colour("--muted"), font, labelFont: font, ticks: { show: false } };
  const grid = { stroke: () => colour("--line"), width: 1 };
  const time = {
    ...common, grid, space: 80, size: 40, incrs: STEPS_MS,
    splits: (/** @type {any} */ _u, _axis = 0, /** @type {number} */ min = 0, /** @type {number} */ max = 0, /** @type {number} */ step = 1) => timeSplits(min, max, step),
    values: (/** @type {any} */ _u, /** @type {number[]} */ splits, _axis = 0, _space = 0, /** @type {number} */ step = 0) => timeLabels(splits, step),
  };
  const values = units.slice(0, 2).map((unit, k) => ({
    ...common, scale: `y${k}`, side: k ? 1 : 3, grid: k ? { show: false } : grid,
    label: unitText(unit) || undefined, labelSize: 16, labelGap: 0, space: 36, gap: 6,
    size: (/** @type {any} */ _u, /** @type {string[] | null} */ labels) => Math.max(40, 12 + LABEL_PX * Math.max(0, ...(labels ?? []).map((l) => l.length))),
    values: (/** @type {any} */ _u, /** @type {number[]} */ splits) => splits.map((v) => number(v)),
  }));
  return [time, ...values];
}

/** A scale's range that does not tremble: it grows at once, and shrinks only when a good part of it is empty.
 * Where nothing is shown, the first scale stays, and others go with their axis.
 * @param {boolean} [isMain] @param {boolean} [isFromZero]  for what is counted: half as high is half as much */
export function steadyRange(isMain = true, isFromZero = false) {
  /** @type {[number, number] | null} */
  let kept = null;
  return (/** @type {any} */ _u, /** @type {number | null} */ low, /** @type {number | null} */ high) => {
    if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return isMain ? (kept ?? [0, 1]) : [null, null];
    if (isFromZero) low = Math.min(low, 0);
    const span = high - low || Math.abs(high) * 0.1 || 1;
    const fits = kept && low >= kept[0] && high <= kept[1] && span > 0.55 * (kept[1] - kept[0]);
    if (!fits) kept = [isFromZero ? low : low - 0.12 * span, high + 0.12 * span];
    return kept;
  };
}
