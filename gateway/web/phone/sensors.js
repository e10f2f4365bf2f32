// The browser's sensors, from the permission that a tap asks for to readings.

import * as axes from "./axes.js";
import { fixed_us } from "./clock.js";

const BATTERY_MS = 60_000;
const FIX_WAIT_MS = 30_000;

/** "" works or may yet; "asked" nobody has answered; else why not. @typedef {"" | "asked" | "denied" | "missing"} Trouble */

export class Sensors {
  /** @param {(sensor: string, t_us: number, values: Record<string, any>) => void} onReading
   * @param {(event_mono_ms: number) => number} stamp_us */
  constructor(onReading, stamp_us) {
    this.onReading = onReading;
    this.stamp_us = stamp_us;
    /** @type {{motion: Trouble, location: Trouble}} */
    this.trouble = { motion: "", location: "" };
    /** @type {AbortController | null} */ this.running = null;
  }

  #inverted = axes.isInverted(navigator);
  #last_fix_us = 0;
  /** @type {AbortController | null} */ #positions = null;
  /** @type {Set<string>} */ #off = new Set();

  /** Ask for no position while it is not wanted: that takes a permission and the most power.  What else is measured comes
   * together. @param {Set<string>} off */
  leaveOut(off) {
    const is_other = off.has("location") !== this.#off.has("location");
    this.#off = off;
    if (!is_other) return;
    this.#positions?.abort();
    this.trouble.location = "";
    if (this.running) this.#watchPosition(this.running.signal);
  }

  /** Ask for what must be asked for, and begin.  Call it in a tap's handler: iOS answers nowhere else. */
  async start() {
    const running = new AbortController();
    this.running = running;
    this.trouble = { motion: "asked", location: "asked" };
    const asked = motionAllowed(); // first: it must be in the tap itself
    this.#watchPosition(running.signal); // the browser asks by itself
    void this.#watchBattery(running.signal); // needs no permission
    const motion = await asked;
    if (running.signal.aborted) return;
    this.trouble.motion = motion;
    if (motion === "") this.#watchMotion(running.signal);
  }

  stop() {
    this.running?.abort();
    this.running = null;
  }

  /** @param {AbortSignal} signal */
  #watchMotion(signal) {
    const take = (/** @type {Event} */ event, /** @type {axes.Reading[]} */ readings) => {
      const t_us = this.stamp_us(event.timeStamp);
      for (const [sensor, values] of readings) this.onReading(sensor, t_us, values);
    };
    addEventListener("devicemotion", (event) => take(event, axes.motion(event, this.#inverted)), { signal });
    addEventListener(
      "deviceorientation",
      (event) => {
        const reading = axes.orientation(event);
        if (reading) take(event, [reading]);
      },
      { signal },
    );
  }

  /** @param {AbortSignal} signal */
  #watchPosition(signal) {
    if (this.#off.has("location")) {
      this.trouble.location = "";
      return;
    }
    if (!navigator.geolocation) {
      this.trouble.location = "missing";
      return;
    }
    const id = navigator.geolocation.watchPosition(
      ({ coords, timestamp }) => {
        this.trouble.location = "";
        this.#last_fix_us = fixed_us(timestamp, this.stamp_us(performance.now()), this.#last_fix_us);
        this.onReading(...timed(axes.location(coords), this.#last_fix_us));
      },
      (error) => {
        // "unavailable" and "timeout" may pass: it goes on trying
        this.trouble.location = error.code === error.PERMISSION_DENIED ? "denied" : "missing";
      },
      { enableHighAccuracy: true, maximumAge: 0, timeout: FIX_WAIT_MS },
    );
    const end = new AbortController();
    end.signal.addEventListener("abort", () => navigator.geolocation.clearWatch(id));
    signal.addEventListener("abort", () => end.abort());
    this.#positions = end;
  }

  /** @param {AbortSignal} signal */
  async #watchBattery(signal) {
    const nav = /** @type {any} */ (navigator);
    const found = await nav.getBattery?.().catch(() => null); // not on iOS, not in Firefox
    if (!found || signal.aborted) return;
    const take = () => this.onReading(...timed(axes.battery(found), this.stamp_us(performance.now())));
    found.addEventListener("levelchange", take, { signal });
    found.addEventListener("chargingchange", take, { signal });
    const timer = setInterval(take, BATTERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    take();
  }
}

/** @param {axes.Reading} reading @param {number} t_us @returns {[string, number, Record<string, any>]} */
const timed = ([sensor, values], t_us) => [sensor, t_us, values];

/** @returns {Promise<Trouble>} */
async function motionAllowed() {
  const motion = /** @type {any} */ (globalThis.DeviceMotionEvent);
  if (!motion) return "missing";
  if (typeof motion.requestPermission === "function") {
    // iOS, and Chromium since it has the same question
    const answer = await motion.requestPermission().catch(() => "denied"); // rejects outside of a tap
    return answer === "granted" ? "" : "denied";
  }
  const states = await Promise.all(["accelerometer", "gyroscope"].map(permission));
  return states.includes("denied") ? "denied" : "";
}

/** @param {string} name */
async function permission(name) {
  try {
    return (await navigator.permissions.query(/** @type {any} */ ({ name }))).state;
  } catch {
    return "unknown"; // a browser that has no such permission
  }
}
