// A session's counts in words.  Pure.

import { duration, plural } from "../../lib/format.js";

/** @typedef {{offset_s: number | null, basis: "sent" | "newest" | null, latest_offset_s: number | null, synchronised: boolean | null, correction_s: number | null, skewed: boolean}} Clock
 * @typedef {{device: string, session: string, received_batches: number, received_readings: number, missing_batches: number, missing: [number, number][], duplicate_batches: number, reordered_batches: number, late_batches: number, dropped_readings: number, rejected_readings: number, first_received_ns: number, last_received_ns: number, clock: Clock}} Session */

const DRIFT_S = 0.5;
const CLOSE_S = 0.5; // a quick way alone is as much

/** How much is wrong, for sorting: the share of readings that are not there, and a clock that is wrong. @param {Session} one */
export function trouble(one) {
  const { received, missing, dropped, rejected } = shares(one);
  const lost = missing + dropped + rejected;
  return lost ? 1 + lost / (received + lost) : one.clock.skewed ? 1 : 0;
}

/** Readings by what became of them; the missing ones are estimated by the batches that came. @param {Session} one */
export function shares(one) {
  const a_batch = one.received_batches ? one.received_readings / one.received_batches : 1;
  return { received: one.received_readings, missing: Math.max(one.missing_batches, Math.round(one.missing_batches * a_batch)), dropped: one.dropped_readings, rejected: one.rejected_readings };
}

/** @param {[number, number][]} missing  both ends included @param {number} most */
export function intervals(missing, most) {
  const said = missing.slice(0, most).map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`));
  return said.join(", ") + (missing.length > most ? ` and ${plural(missing.length - most, "interval")} more` : "");
}

/** What is known of the clock that stamped the readings. @param {Clock} clock */
export function clockWords(clock) {
  const said = [offset(clock.offset_s, clock.basis)];
  const { latest_offset_s: latest } = clock;
  if (latest !== null && clock.offset_s !== null && Math.abs(latest - clock.offset_s) > DRIFT_S) said.push(`lately ${offset(latest, clock.basis)}: it drifts, or was set`);
  if (clock.synchronised === false) said.push("it had not been set when it stamped them");
  if (clock.correction_s) said.push(`the device itself says that it is ${duration(clock.correction_s)} ${clock.correction_s > 0 ? "behind" : "ahead"}`);
  return said.join("; ");
}

/** @param {number | null} s  to be added to the clock's times, at most @param {"sent" | "newest" | null} basis */
function offset(s, basis) {
  if (s === null) return "nobody can know: the device does not say when it sends";
  if (s < 0) return `${duration(s)} ahead${basis === "newest" ? " or more" : ""}`;
  if (s < CLOSE_S) return `right, to within ${duration(s)}`;
  return `${duration(s)} behind at most (its way here counts in it)`;
}

/** Word -> its meaning. @type {[string, string][]} */
export const MEANINGS = [
  ["Received", "Batches and readings that came and were accepted."],
  ["Missing", "Batches whose number was skipped: a later one came, these did not. They may still come. How many readings they held is estimated."],
  ["Duplicate", "Batches that came again; nothing is stored twice."],
  ["Reordered", "Batches that came after one with a higher number."],
  ["Late", "Batches that filled a gap long after it was seen."],
  ["Dropped", "Readings that the device threw away by a named rule, such as a full store, and said so."],
  ["Refused", "Readings that could not be accepted: impossible values, unknown shapes."],
  ["Clock", "How far the clock that stamped the readings was from the station's. Times are never changed."],
];

/** @param {Session} one @returns {[string, string, boolean][]} word, what, whether it is trouble */
export function counts(one) {
  return [
    ["Received", `${plural(one.received_readings, "reading")} in ${plural(one.received_batches, "batch", "batches")}`, false],
    ["Missing", one.missing_batches ? plural(one.missing_batches, "batch", "batches") : "none", one.missing_batches > 0],
    ["Dropped", one.dropped_readings ? plural(one.dropped_readings, "reading") : "none", one.dropped_readings > 0],
    ["Refused", one.rejected_readings ? plural(one.rejected_readings, "reading") : "none", one.rejected_readings > 0],
    ["Duplicate", one.duplicate_batches ? plural(one.duplicate_batches, "batch", "batches") : "none", false],
    ["Reordered", one.reordered_batches ? plural(one.reordered_batches, "batch", "batches") : "none", false],
    ["Late", one.late_batches ? plural(one.late_batches, "batch", "batches") : "none", false],
  ];
}
