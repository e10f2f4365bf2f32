// One lane: its oldest batch -> the station -> what the answer asks for.  One batch in flight, order kept.

import { decide } from "./decide.js";
import { Outage, Throttle, isBacklogPaused } from "./lanes.js";
import { Wake } from "./waiting.js";

const IDLE_MS = 60_000;
const POLL_MS = 500; // of the backlog while live data waits

/** How a lane fares, for people. */
export class News {
  acknowledged_readings = 0;
  failed = 0; // tries since the last answer that settled a batch
  /** @type {number | null} */ failing_since_ms = null; // wall
  alarm = ""; // why the lane is held
  alarm_status = 0;
  last_error = "";
  is_answered = false; // somebody answered the last try that failed
}

/**
 * What both lanes share.
 * @typedef {{
 *   spool: import("./spool.js").Spool,
 *   post: (row: import("./spool.js").Row) => Promise<import("./decide.js").Answer>,
 *   isReady: () => boolean,
 *   onHeard: (answer: import("./decide.js").Answer) => Promise<void>,
 *   onAside: () => Promise<void>,
 *   onOutageEnd: () => Promise<void>,
 *   onTrouble: (error: unknown) => void,
 * }} Way
 */

export class Sender {
  /** @param {import("./spool.js").Lane} lane @param {Way} way */
  constructor(lane, way) {
    this.lane = lane;
    this.way = way;
    this.news = new News();
    this.wake = new Wake(); // when there is something to send
    this.again = new Wake(); // when the next try may fare better than the last; a new batch is no reason
  }

  /** End all waits. */
  poke() {
    this.wake.set();
    this.again.set();
  }

  #attempt = 0;
  #throttle = new Throttle();
  #outage = new Outage();

  /** Send until `signal` aborts. @param {AbortSignal} signal */
  async run(signal) {
    while (!signal.aborted) {
      try {
        await this.#turn();
      } catch (error) {
        // The disk failed under us: what was not freed is sent again, and the station knows it.
        this.way.onTrouble(error);
        await this.wake.wait(POLL_MS * 4);
      }
    }
  }

  async #turn() {
    const { spool, isReady, post } = this.way;
    const pause_ms = this.#pause_ms();
    if (pause_ms > 0) return this.wake.wait(pause_ms);
    const row = isReady() ? await spool.head(this.lane) : undefined;
    if (!row) return this.wake.wait(IDLE_MS);
    this.again.clear();
    const answer = await post(row);
    this.#throttle.took(row.bytes.length, performance.now());
    await this.#act(row, decide(this.#attempt, answer, row, Math.random), answer);
  }

  #pause_ms() {
    if (this.lane === "live") return 0;
    if (isBacklogPaused(this.way.spool.live_batches)) return POLL_MS;
    return this.#throttle.wait_ms(performance.now());
  }

  /** @param {import("./spool.js").Row} row @param {import("./decide.js").Action} action @param {import("./decide.js").Answer} answer */
  async #act(row, action, answer) {
    const { spool } = this.way;
    if (action.do === "free") {
      await spool.free(row, Date.now());
      this.news.acknowledged_readings += row.readings;
      this.#settled();
      await this.way.onHeard(answer);
      const is_over = this.#outage.gotThrough(performance.now(), spool.live_batches);
      if (is_over && this.lane === "live") await this.way.onOutageEnd();
    } else if (action.do === "aside") {
      await spool.setAside(row, action.reason, Date.now());
      this.#settled();
      this.news.last_error = action.reason;
      await this.way.onAside();
    } else {
      this.#failed(action);
      await this.again.wait(action.wait_s * 1000);
    }
  }

  #settled() {
    this.#attempt = 0;
    Object.assign(this.news, { failed: 0, failing_since_ms: null, alarm: "", alarm_status: 0 });
  }

  /** @param {Exclude<import("./decide.js").Action, {do: "free"}>} action */
  #failed(action) {
    this.#attempt += 1;
    this.news.failed = this.#attempt;
    this.news.failing_since_ms ??= Date.now();
    this.news.last_error = action.reason;
    this.news.is_answered = action.do === "hold" || (action.do === "retry" && action.is_answered);
    this.news.alarm = action.do === "hold" ? action.reason : "";
    this.news.alarm_status = action.do === "hold" ? action.status : 0;
    this.#outage.failed(performance.now());
  }
}
