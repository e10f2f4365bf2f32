// Monotonic time tied to UTC: what a stamp is made of.  Pure: both clocks are arguments.
//
// Events carry monotonic time (`performance.now`), so the wall clock may be set without any stamp going back.  When the
// two clocks come apart (somebody set the wall clock, or the monotonic one stood still while the phone slept), the tie
// is made anew, and what follows is a new session.

export const STEP_MS = 500;
const ORIGIN_TRUSTED_MS = 20; // the browser's own tie has digits below a millisecond, but is as old as the page

/** Both clocks at one moment, in ms: `wall` of UTC. @typedef {{mono: number, wall: number}} Moment */

export class Tie {
  /** @param {Moment} now @param {number} [origin_ms]  `performance.timeOrigin` */
  constructor(now, origin_ms = NaN) {
    const measured = now.wall - now.mono;
    this.offset_ms = Math.abs(origin_ms - measured) <= ORIGIN_TRUSTED_MS ? origin_ms : measured;
  }

  /** UTC in whole microseconds, which a number holds exactly until 2255. @param {number} mono_ms */
  stamp_us(mono_ms) {
    return Math.round((this.offset_ms + mono_ms) * 1000);
  }

  /** True when the wall clock is no longer where this tie has it. @param {Moment} now */
  isOff(now) {
    return Math.abs(now.wall - now.mono - this.offset_ms) > STEP_MS;
  }
}

/** Both clocks now. @returns {Moment} */
export const moment = () => ({ mono: performance.now(), wall: Date.now() });

/** The time of a position's fix, which comes as wall time, or now where it makes no sense.
 * @param {number} fix_ms @param {number} now_us @param {number} last_us  the fix before */
export function fixed_us(fix_ms, now_us, last_us) {
  const told = Math.round(fix_ms * 1000);
  const is_sensible = Number.isFinite(told) && told <= now_us && now_us - told < 60e6; // some browsers count from 2001
  return Math.max(is_sensible ? told : now_us, last_us + 1);
}
