// The settings that a station hands down in its receipts, as an edge agent takes them (edge/remote.py): checked, kept,
// applied, and reported beside each batch.  Pure.
//
//     batch_period_s   how long a reading waits for its batch, at most
//     sources          by the sensor's name: on or off.  A browser measures as often as it likes: a rate is refused
//
// There is no probation: what was checked cannot fail here.

import { PERIOD_MS } from "./batcher.js";
import { SENSORS } from "./catalogue.js";

const VERSION_MAX = 2 ** 31 - 1;
const SOURCES_MAX = 64;
const PERIOD_S_MAX = 3600;
const REASON_CHARS_MAX = 150;
const RATES = ["rate_hz", "every_s"];

/** @typedef {{version: number, batch_period_s?: number | null, sources?: Record<string, Record<string, any>>}} Document
 * @typedef {{in_force: Document, failed: number | null, reason: string}} State */

/** @type {State} */
export const NONE = { in_force: { version: 0 }, failed: null, reason: "" };

/** What holds after a receipt offered this; `state` itself when nothing is new. @param {State} state @param {any} offered @returns {State} */
export function taken(state, offered) {
  const version = offered?.version;
  if (!Number.isInteger(version) || version < 0 || version > VERSION_MAX) return state; // none, or nothing to report it under
  if (version === state.in_force.version || version === state.failed) return state;
  const reason = whyNot(offered);
  return reason ? { ...state, failed: version, reason } : { in_force: offered, failed: null, reason: "" };
}

/** For the header beside a batch. @param {State} state */
export const report = ({ in_force, failed, reason }) =>
  failed === null ? String(in_force.version) : `${in_force.version} failed=${failed} ${oneLine(reason)}`.trimEnd();

/** What they mean here. @param {State} state @returns {{period_ms: number, off: Set<string>}} */
export function meaning({ in_force: { batch_period_s, sources } }) {
  const off = Object.entries(sources ?? {}).filter(([, { enabled }]) => enabled === false);
  return { period_ms: batch_period_s ? batch_period_s * 1000 : PERIOD_MS, off: new Set(off.map(([name]) => name)) };
}

/** Why this page cannot run with them; "" when it can. @param {any} offered */
function whyNot({ version: _, batch_period_s = null, sources = {}, ...others }) {
  const [unknown] = Object.keys(others);
  if (unknown) return `settings ${unknown}: not known here`;
  if (batch_period_s !== null && !(typeof batch_period_s === "number" && batch_period_s > 0 && batch_period_s <= PERIOD_S_MAX))
    return `settings batch_period_s: more than 0, at most ${PERIOD_S_MAX}`;
  if (!isObject(sources) || Object.keys(sources).length > SOURCES_MAX) return `settings sources: at most ${SOURCES_MAX}, by name`;
  return Object.entries(sources).map(([name, change]) => whyNotSource(name, change)).find(Boolean) ?? "";
}

/** @param {string} name @param {any} change */
function whyNotSource(name, change) {
  if (!Object.hasOwn(SENSORS, name)) return `there is no source ${name} in a browser: ${Object.keys(SENSORS).join(", ")}`;
  if (!isObject(change)) return `settings sources.${name}: not an object`;
  const { enabled = null, ...rates } = change;
  const unknown = Object.keys(rates).find((one) => !RATES.includes(one));
  if (unknown) return `settings sources.${name}.${unknown}: not known here`;
  if (enabled !== null && typeof enabled !== "boolean") return `settings sources.${name}.enabled: true or false`;
  const rate = enabled === false ? undefined : RATES.find((one) => (rates[one] ?? null) !== null);
  return rate ? `source ${name} (a browser's) has no ${rate}` : "";
}

/** @param {any} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Printable ASCII, cut to what fits beside a batch. @param {string} text */
const oneLine = (text) => text.replace(/\s+/g, " ").replace(/[^ -~]/g, "?").slice(0, REASON_CHARS_MAX);
