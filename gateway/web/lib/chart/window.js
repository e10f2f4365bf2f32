// Which stretch of time is looked at, and how it moves.  Pure; ms.

/** @typedef {import("./plot.js").View} View */

export const SPAN_MS_MIN = 20;
export const SPAN_MS_MAX = 400 * 86_400_000;
const ROOM = 0.05;
const TIME_MS_MAX = 9.2e12; // the year 2261: the store's times end soon after

/** @param {View} view */
export const spanOf = ({ from, to }) => to - from;

/** Closer (factor < 1) or farther, with the time `at` staying where it is. @param {View} view @param {number} factor @param {number} [at] @returns {View} */
export function zoomed({ from, to }, factor, at = (from + to) / 2) {
  const span = Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, (to - from) * factor));
  const share = (at - from) / (to - from);
  return bounded({ from: at - share * span, to: at + (1 - share) * span });
}

/** Along by a share of what is seen. @param {View} view @param {number} share @returns {View} */
export const panned = ({ from, to }, share) => bounded({ from: from + share * (to - from), to: to + share * (to - from) });

/** This long, with the same end. @param {View} view @param {number} span_ms @returns {View} */
export const lasting = ({ to }, span_ms) => bounded({ from: to - span_ms, to });

/** With room around it: what is looked at is seen in its surroundings. @param {View} view @param {number} [share] @returns {View} */
export function padded({ from, to }, share = 0.5) {
  const room = Math.max((to - from) * share, 1000);
  return bounded({ from: from - room, to: to + room });
}

/** With hardly anything behind `end`: there is nothing to see. @param {View} view @param {number} end @returns {View} */
export function before({ from, to }, end) {
  const over = to - (end + ROOM * (to - from));
  return over > 0 ? { from: from - over, to: to - over } : { from, to };
}

/** Within the times there are, never upside down. @param {View} view @returns {View} */
export function bounded({ from, to }) {
  const span = Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, to - from));
  const start = Math.min(Math.max(0, from), TIME_MS_MAX - span);
  return { from: start, to: start + span };
}

/** Marks that would lie on each other become one.  By start.
 * @template {{from_ms: number, to_ms: number}} M @param {M[]} marks @param {View} view @param {number} width_px @param {number} [room_px]
 * @returns {{left_px: number, of: M[]}[]} those that are seen */
export function clustered(marks, view, width_px, room_px = 100) {
  const px = (/** @type {number} */ ms) => ((ms - view.from) / (view.to - view.from)) * width_px;
  /** @type {{left_px: number, of: M[]}[]} */
  const found = [];
  for (const mark of [...marks].sort((a, b) => a.from_ms - b.from_ms)) {
    if (px(mark.to_ms) < 0 || px(mark.from_ms) > width_px) continue;
    const left_px = Math.min(Math.max(0, px(mark.from_ms)), Math.max(0, width_px - room_px));
    const last = found[found.length - 1];
    if (last && left_px - last.left_px < room_px) last.of.push(mark);
    else found.push({ left_px, of: [mark] });
  }
  return found;
}
