// The pipeline's states in words.  Pure.

import { count } from "../../lib/format.js";

/** Consumer -> what it does. @type {Record<string, string>} */
export const CONSUMERS = {
  index: "makes readings queryable",
  ledger: "keeps count of what came and what is missing",
  detect: "looks for anomalies; it commits in steps, so it may seem a little behind when it is not",
  anomalies: "puts what was found into the store",
  windows: "sums up each second of readings",
  alert: "tells people of anomalies",
};

const FAR = 1_000; // records

/** @param {number} records */
export function lagWords(records) {
  if (records === 0) return { words: "up to date", tone: "good" };
  return { words: `${count(records)} ${records === 1 ? "record" : "records"} behind`, tone: records < FAR ? "" : "warn" };
}

/** @param {"off" | "connected" | "disconnected"} state */
export const mqttWords = (state) => ({ off: "not used", connected: "connected to the broker", disconnected: "the broker is away; HTTP works" })[state];

/** Why a record was set aside -> in words, and what a replay can do. @type {Record<string, [string, string]>} */
export const REASONS = {
  undecodable: ["Cannot be read", "Replay it once a version runs that can read it."],
  conflict: ["Other content under the same number", "The first content stays: a replay of this one ends here again."],
  store_refused: ["Refused by the store", "Replay it once the cause is mended."],
  undelivered: ["An alert that could not be delivered", "Replay it once the channel works."],
};

/** What a replay came to. @param {{replayed: number, skipped: number, left: number}} done */
export function outcome({ replayed, skipped, left }) {
  const said = [`${count(replayed)} replayed`];
  if (skipped) said.push(`${count(skipped)} skipped (unknown, replayed before, not replayable, or of a deleted device)`);
  if (left) said.push(`${count(left)} left: replay again`);
  return `${said.join(", ")}.`;
}
