// Anomalies in words: what each kind is, how bad it is, what people said of it.

import { duration, ms } from "../../lib/format.js";

/** @typedef {{feature: string, unit: string, seen: number, usual_low: number, usual_high: number, words: string}} Evidence
 * @typedef {{acknowledged: boolean, verdict: "real" | "false" | null, note: string, by: string, at_ns: number}} Label
 * @typedef {{id: string, version: number, device: string, session: string, stream: string, kind: string, severity: string, start_ns: number, end_ns: number, open: boolean, score: number, peak_ns: number, words: string, evidence: Evidence[], detector: string, live: boolean, received_ns: number, label: Label | null}} Anomaly
 * @typedef {"new" | "seen" | "confirmed" | "dismissed"} State */

/** Kind -> its name and what it means. @type {Record<string, [string, string]>} */
export const KINDS = {
  fall: ["Fall", "A moment of near weightlessness, an impact, then lying still."],
  crash: ["Crash", "A hard, short deceleration, as of a vehicle."],
  pothole: ["Pothole", "A short, strong vibration while driving."],
  harsh_brake: ["Harsh braking", "Slowed down much harder than usual."],
  harsh_corner: ["Harsh cornering", "Turned much harder than usual at this speed."],
  stuck: ["Stuck sensor", "A sensor repeats one value where it normally moves."],
  dropout: ["Dropout", "Readings are missing in the middle of a stream."],
  clock_jump: ["Clock jump", "The device's clock stepped."],
  spike: ["Spike", "A single reading far beside those around it."],
  noise: ["Noise", "A sensor scatters much more than usual."],
  drift: ["Drift", "A sensor moves slowly away from where it should be."],
  impossible_speed: ["Impossible speed", "Faster than such a device can be."],
  gps_jump: ["Position jump", "The position leapt to where the device cannot be."],
  gps_freeze: ["Frozen position", "The position stands still while the device moves."],
  gps_spoof: ["False position", "The position contradicts what the motion sensors say."],
  gravity: ["Wrong gravity", "At rest, the accelerometer does not measure Earth's gravity."],
  shift: ["Shifted level", "A measured level moved away from its usual place."],
  outlier: ["Outlier", "A value outside this stream's usual range."],
  level: ["New level", "The stream's level differs from what it was."],
  silence: ["Silence", "The device sends nothing, though it usually does."],
  storm: ["Too many anomalies", "So many opened within an hour that the rest are only counted."],
};

/** @param {string} kind */
export const kindName = (kind) => KINDS[kind]?.[0] ?? capital(kind.replaceAll("_", " "));

/** @param {string} kind */
export const kindMeaning = (kind) => KINDS[kind]?.[1] ?? "";

/** Severity -> its word and the tone of its chip. @type {Record<string, [string, string]>} */
export const SEVERITIES = { critical: ["Critical", "bad"], warning: ["Warning", "warn"], info: ["Info", "accent"] };

/** State -> its word and the tone of its chip. @type {Record<State, [string, string]>} */
export const STATES = { new: ["New", "accent"], seen: ["Seen", ""], confirmed: ["Confirmed", "good"], dismissed: ["Dismissed", ""] };

/** @param {Label | null} label @returns {State} */
export function state(label) {
  if (label?.verdict === "real") return "confirmed";
  if (label?.verdict === "false") return "dismissed";
  return label?.acknowledged ? "seen" : "new";
}

/** Why it was told, as one line. @param {Anomaly} one */
export const why = (one) => pretty(one.evidence.map((said) => said.words).join("; ") || one.words);

/** How long it lasted, or that it still does. @param {Anomaly} one */
export function lasted(one) {
  const s = (one.end_ns - one.start_ns) / 1e9;
  if (one.open) return "still open";
  return s < 0.001 ? "a moment" : duration(s);
}

/** @param {Anomaly} one @returns {number} */
export const start = (one) => /** @type {number} */ (ms(one.start_ns));

/** What detectors write, as people write it. @param {string} text */
export const pretty = (text) => text.replaceAll("m/s2", "m/s²").replaceAll("uT", "µT").replaceAll(/(\d)x /g, "$1 × ").replaceAll(" -", " −");

/** A score: more than two digits would say more than it knows. @param {number} x */
export const score = (x) => String(Number(x.toPrecision(2)));

/** The stream's name: the sensor's, or what several make together. @param {string} stream */
export const streamName = (stream) => ({ motion: "all motion sensors together", device: "the device as a whole" })[stream] ?? stream.replaceAll("_", " ");

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
