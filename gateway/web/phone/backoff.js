// How long to wait before the next try.  Pure.
//
// Full jitter: anywhere between nothing and a step that doubles from 0.2 s to 5 minutes, so that phones that lost their
// station at one moment do not come back at one moment.  A station that says Retry-After is believed, up to an hour.

export const FIRST_WAIT_S = 0.2;
export const WAIT_S_MAX = 300;
const WAIT_S_MIN = 0.05;
const RETRY_AFTER_S_MAX = 3600; // a broken clock or proxy may name any number
const SPREAD = 0.25; // on top of Retry-After, never below it

/** Seconds. @param {number} attempt  from 0 @param {number | null} retry_after_s @param {() => number} random  0 to 1 */
export function wait_s(attempt, retry_after_s, random) {
  if (retry_after_s !== null && retry_after_s > 0)
    return Math.min(retry_after_s, RETRY_AFTER_S_MAX) * (1 + SPREAD * random());
  const step = Math.min(WAIT_S_MAX, FIRST_WAIT_S * 2 ** Math.min(attempt, 32));
  return Math.max(WAIT_S_MIN, step * random());
}

/** Seconds of a Retry-After header: a number or a date; null when it is neither. @param {string | null} text @param {number} now_ms */
export function retryAfter_s(text, now_ms) {
  if (text === null || text.trim() === "") return null;
  const s = Number.isNaN(Number(text)) ? (Date.parse(text) - now_ms) / 1000 : Number(text);
  return Number.isFinite(s) ? Math.max(0, s) : null;
}
