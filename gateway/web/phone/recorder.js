// Sensors -> stamped readings -> batches on disk, from Start to Stop.

import { Batcher } from "./batcher.js";
import { Tie, moment } from "./clock.js";
import { Gauge } from "./gauge.js";
import { newSession } from "./identity.js";
import { Screen } from "./screen.js";
import { Sensors } from "./sensors.js";

const TICK_MS = 250;

export class Recorder {
  /** @param {import("./keeper.js").Keeper} keeper @param {() => string} device */
  constructor(keeper, device) {
    this.keeper = keeper;
    this.device = device;
    this.gauge = new Gauge();
    this.screen = new Screen();
    this.sensors = new Sensors(
      (sensor, t_us, values) => this.#take(sensor, t_us, values),
      (mono_ms) => this.#stamp_us(mono_ms),
    );
    /** @type {number | null} */ this.started_ms = null; // monotonic
    this.implausible = 0; // readings without one value that could be
    this.epoch = ""; // names the clock's tie
    this.session = "";
    /** @type {Set<string>} */ this.off = new Set(); // sensors that the station wants left out
  }

  #batcher = new Batcher();
  #tie = new Tie(moment(), performance.timeOrigin);
  #timer = 0;

  get isRecording() {
    return this.started_ms !== null;
  }

  /** Readings that are not on disk yet. */
  get unkept() {
    return this.#batcher.readings + this.keeper.waiting_readings;
  }

  /** A new session: at the page's start, for another device, after a long outage, and when the clock was set. */
  begin() {
    this.flush();
    this.#tie = new Tie(moment(), performance.timeOrigin);
    this.session = newSession(Date.now());
    this.epoch = this.session;
    this.keeper.begin(this.device(), this.session, this.epoch);
  }

  get period_ms() {
    return this.#batcher.limits.period_ms;
  }

  /** From now on. @param {{period_ms: number, off: Set<string>}} wanted */
  follow({ period_ms, off }) {
    this.#batcher.limits.period_ms = period_ms;
    this.off = off;
    this.sensors.leaveOut(off);
    for (const sensor of off) this.gauge.forget(sensor);
  }

  /** Call it in a tap's handler. */
  async start() {
    if (this.isRecording) return;
    this.#sameClock();
    this.started_ms = performance.now();
    this.gauge.clear();
    this.#timer = window.setInterval(() => this.#tick(), TICK_MS);
    const asked = this.sensors.start(); // first: iOS wants to be asked in the tap itself
    void this.screen.keep();
    void navigator.storage.persist?.(); // or the browser may delete what waits, when it wants room
    await asked;
  }

  async stop() {
    this.sensors.stop();
    clearInterval(this.#timer);
    this.started_ms = null;
    this.flush();
    await this.screen.release();
  }

  /** What is pending becomes a batch at once. */
  flush() {
    const cut = this.#batcher.flush();
    if (cut) this.keeper.add(cut);
  }

  /** UTC now by the clock that stamps, for batches of this epoch; null for those of another. @param {string} epoch */
  now_us(epoch) {
    return epoch === this.epoch && !this.#tie.isOff(moment()) ? this.#tie.stamp_us(performance.now()) : null;
  }

  /** @param {number} mono_ms */
  #stamp_us(mono_ms) {
    this.#sameClock();
    return this.#tie.stamp_us(mono_ms);
  }

  #sameClock() {
    if (this.#tie.isOff(moment())) this.begin();
  }

  /** @param {string} sensor @param {number} t_us @param {Record<string, any>} values */
  #take(sensor, t_us, values) {
    if (this.off.has(sensor)) return;
    const now_ms = performance.now();
    const cut = this.#batcher.append(sensor, t_us, values, now_ms);
    if (cut === false) this.implausible += 1;
    else this.gauge.count(sensor, values, now_ms);
    if (cut) this.keeper.add(cut);
  }

  #tick() {
    this.#sameClock();
    const cut = this.#batcher.poll(performance.now());
    if (cut) this.keeper.add(cut);
  }
}
