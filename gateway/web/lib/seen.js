// How a device is, by when it was last heard of.  Pure.

import { ago, duration } from "./format.js";

export const LIVE_MS = 15_000;
export const QUIET_MS = 10 * 60_000;

/** @typedef {"live" | "quiet" | "silent" | "never"} State */

/** State -> its word, its tone, what it means. @type {Record<State, [string, string, string]>} */
export const STATES = {
  live: ["Live", "good", `heard of within ${duration(LIVE_MS / 1000)}`],
  quiet: ["Quiet", "warn", `not heard of for more than ${duration(LIVE_MS / 1000)}`],
  silent: ["Silent", "bad", `not heard of for more than ${duration(QUIET_MS / 1000)}`],
  never: ["Never seen", "", "enrolled, but nothing came yet"],
};

/** @param {number | null} seen_ms @param {number} now @returns {State} */
export function stateOf(seen_ms, now) {
  if (seen_ms === null) return "never";
  if (now - seen_ms <= LIVE_MS) return "live";
  return now - seen_ms <= QUIET_MS ? "quiet" : "silent";
}

/** @param {number | null} seen_ms @param {number} now */
export const seenText = (seen_ms, now) => (seen_ms === null ? "nothing came yet" : `seen ${ago(seen_ms, now)}`);

/** A battery's level and whether it is charged, in words. @param {{level?: number | null, state?: string | null} | null} battery */
export function batteryText(battery) {
  if (!battery || battery.level === undefined || battery.level === null) return null;
  const level = `${Math.round(battery.level * 100)} %`;
  return isCharging(battery.state) ? `${level}, charging` : level;
}

/** @param {string | null | undefined} state */
export const isCharging = (state) => ["charging", "full"].includes((state ?? "").toLowerCase());

/** Low enough to be said so. @param {{level?: number | null, state?: string | null} | null} battery */
export const isLow = (battery) => typeof battery?.level === "number" && battery.level < 0.15 && !isCharging(battery.state);
