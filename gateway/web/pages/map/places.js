// Positions: in words, by age, along a track.  Pure.

import { ago, duration, number } from "../../lib/format.js";

/** @typedef {{t: number, latitude: number, longitude: number, speed?: number | null, bearing?: number | null, horizontal_accuracy?: number | null}} Fix  `t` in ms since the epoch */

export const FRESH_MS = 30_000;
export const STALE_MS = 300_000;
const POINTS = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

/** `57.70° N`, with the digits that the step needs. @param {number} value @param {string} above @param {string} below @param {number} [step] */
export function degrees(value, above, below, step = 0.00001) {
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? "0°" : `${text}° ${value < 0 ? below : above}`;
}

/** @param {Fix} fix */
export function where({ latitude, longitude, horizontal_accuracy }) {
  const within = horizontal_accuracy ? `, within ${number(Math.round(horizontal_accuracy), "m")}` : "";
  return `${degrees(latitude, "N", "S")}, ${degrees(longitude, "E", "W")}${within}`;
}

/** How it moves. @param {Fix} fix */
export function motion({ speed, bearing }) {
  if (speed === null || speed === undefined) return "";
  if (speed < 0.3) return "standing still";
  const to = bearing === null || bearing === undefined ? "" : ` to the ${POINTS[Math.round(bearing / 45) % 8]}`;
  return `${number(Number(speed.toFixed(1)), "m/s")}${to}`;
}

/** Fresh, ageing or stale, and in words. @param {Fix} fix @param {number} now  ms */
export function age({ t }, now) {
  const old_ms = now - t;
  if (old_ms <= FRESH_MS) return { kind: "fresh", words: ago(t, now) };
  if (old_ms <= STALE_MS) return { kind: "ageing", words: ago(t, now) };
  return { kind: "stale", words: `stale: no position for ${duration(old_ms / 1000)}` };
}

/** A fix of a row's columns; null where it has no position. @param {number} t  ms @param {Record<string, any>} values @returns {Fix | null} */
export function fixOf(t, values) {
  const { latitude, longitude, speed = null, bearing = null, horizontal_accuracy = null } = values;
  if (typeof latitude !== "number" || typeof longitude !== "number") return null;
  return { t, latitude, longitude, speed, bearing, horizontal_accuracy };
}

/** The fixes of an answer of /v1/readings, raw rows or an envelope's means, by time.
 * @param {Record<string, any[]>} columns @returns {Fix[]} */
export function fixesOf(columns) {
  const isEnvelope = "latitude_mean" in columns;
  const at = (/** @type {string} */ name, /** @type {number} */ k) => (isEnvelope ? columns[`${name}_mean`] : columns[name])?.[k];
  const longitude = (/** @type {number} */ k) =>
    // A bucket that crosses the date line: its mean lies on the other side of the Earth.
    isEnvelope && columns.longitude_max[k] - columns.longitude_min[k] > 180 ? columns.longitude_max[k] : at("longitude", k);
  return (columns.t ?? []).map((t, k) => fixOf(t / 1e6, { latitude: at("latitude", k), longitude: longitude(k), speed: at("speed", k), bearing: null })).filter((fix) => fix !== null);
}

/** Lines to draw: cut where nothing came for longer than `gap_ms`, and never the long way round the world.
 * @param {Fix[]} fixes @param {number} gap_ms @returns {[number, number][][]} */
export function lines(fixes, gap_ms) {
  /** @type {[number, number][][]} */
  const cut = [];
  let turned = 0;
  fixes.forEach((fix, k) => {
    const before = fixes[k - 1];
    if (!before || fix.t - before.t > gap_ms) cut.push([]);
    if (before) turned -= 360 * Math.round((fix.longitude - before.longitude) / 360);
    cut[cut.length - 1].push([fix.latitude, fix.longitude + turned]);
  });
  return cut;
}

/** The fix nearest in time, or null when none is within `within_ms`. @param {Fix[]} fixes  by time @param {number} t @param {number} within_ms */
export function nearest(fixes, t, within_ms) {
  let [low, high] = [0, fixes.length];
  while (low < high) {
    const mid = (low + high) >> 1;
    if (fixes[mid].t < t) low = mid + 1;
    else high = mid;
  }
  const found = [fixes[low - 1], fixes[low]].filter(Boolean).sort((a, b) => Math.abs(a.t - t) - Math.abs(b.t - t))[0];
  return found && Math.abs(found.t - t) <= within_ms ? found : null;
}
