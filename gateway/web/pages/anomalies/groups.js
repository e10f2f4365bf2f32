// Columns of samples as charts that a person can read: what is measured alike stands together.  Pure.

/** @typedef {{label: string, unit: string, values: (number | null)[]}} Series
 * @typedef {{name: string, t_ms: number[], series: Series[]}} Group
 * @typedef {Record<string, (number | null)[]>} Columns */

const EARTH_DEG_M = 111_320;
/** The columns that several sensors make together: name of the chart, its columns with their labels, and the unit. @type {[string, [string, string][], string][]} */
const MOTION = [
  ["Acceleration", [["ax", "x"], ["ay", "y"], ["az", "z"]], "m/s2"],
  ["Rotation", [["gx", "x"], ["gy", "y"], ["gz", "z"]], "rad/s"],
  ["Speed", [["speed", "speed"]], "m/s"],
  ["Accuracy", [["horizontalAccuracy", "horizontal accuracy"]], "m"],
];
const HIDDEN = new Set(["t", "accuracy"]);

/** @param {string} stream @param {Columns & {t: number[]}} columns @param {Record<string, Record<string, string>>} units @returns {Group[]} */
export function grouped(stream, columns, units) {
  const { at, t_ms } = rising(columns.t);
  const column = (/** @type {string} */ name) => at.map((k) => columns[name][k] ?? null);
  const has = (/** @type {string} */ name) => columns[name]?.some((v) => v !== null);
  const groups = stream === "motion" ? MOTION : byUnit(Object.keys(columns).filter((name) => !HIDDEN.has(name) && name !== "latitude" && name !== "longitude"), units[stream] ?? {});
  const made = groups.map(([name, fields, unit]) => ({ name, t_ms, series: fields.filter(([field]) => has(field)).map(([field, label]) => ({ label, unit, values: column(field) })) }));
  if (has("latitude") && has("longitude")) made.push({ name: "Position", t_ms, series: away(column("latitude"), column("longitude")) });
  return made.filter((group) => group.series.length && t_ms.length);
}

/** A chart's times rise: a clock that stepped back, and a time that stands twice, keep the first. @param {number[]} t  ns */
function rising(t) {
  const order = t.map((_, k) => k).sort((a, b) => t[a] - t[b]);
  const at = order.filter((k, n) => n === 0 || t[k] > t[order[n - 1]]);
  return { at, t_ms: at.map((k) => t[k] / 1e6) };
}

/** A chart a unit. @param {string[]} names @param {Record<string, string>} units @returns {[string, [string, string][], string][]} */
function byUnit(names, units) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const name of names) found.set(units[name] ?? "", [...(found.get(units[name] ?? "") ?? []), name]);
  return [...found].map(([unit, fields]) => [fields.length > 3 ? "Values" : capital(fields.join(", ")), fields.map((f) => [f, f.replaceAll("_", " ")]), unit]);
}

/** How far north and east of the first position, in metres: degrees say nothing to the eye.
 * @param {(number | null)[]} latitude @param {(number | null)[]} longitude @returns {Series[]} */
function away(latitude, longitude) {
  const first = latitude.findIndex((v, k) => v !== null && longitude[k] !== null);
  const [lat0, lon0] = [latitude[first] ?? 0, longitude[first] ?? 0];
  const east_m = EARTH_DEG_M * Math.cos((lat0 * Math.PI) / 180);
  const metres = (/** @type {(number | null)[]} */ values, /** @type {number} */ from, /** @type {number} */ scale) => values.map((v) => (v === null ? null : (v - from) * scale));
  return [{ label: "north", unit: "m", values: metres(latitude, lat0, EARTH_DEG_M) }, { label: "east", unit: "m", values: metres(longitude, lon0, east_m) }];
}

/** @param {string} text */
const capital = (text) => (text.charAt(0).toUpperCase() + text.slice(1)).replaceAll("_", " ");
