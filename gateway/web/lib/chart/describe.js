// A chart in words.  Pure.

import { duration, exactTime, number, time } from "../format.js";
import { spanOf } from "./window.js";

/** @param {import("./rows.js").Rows} rows  what is seen @param {import("./legend.js").Field[]} fields @param {import("./plot.js").View} view
 * @param {{from_ms: number, to_ms: number}[]} marks @param {boolean} isLive */
export function describe(rows, fields, view, marks, isLive) {
  const when = `${isLive ? "Live, the last" : `${time(view.from)}, for`} ${duration(spanOf(view) / 1000)}`;
  const seen = fields.map((field, k) => (field.shown ? range(field, rows.lo?.[k] ?? rows.mid[k], rows.hi?.[k] ?? rows.mid[k]) : "")).filter(Boolean);
  const found = marks.filter((m) => m.to_ms >= view.from && m.from_ms <= view.to).length;
  const marked = found ? `; ${found} ${found === 1 ? "anomaly" : "anomalies"} marked` : "";
  return `${when}: ${seen.join(", ") || "no readings"}${marked}.`;
}

/** @param {import("./legend.js").Field} field @param {import("./plot.js").Column} lows @param {import("./plot.js").Column} highs */
function range({ label, unit }, lows, highs) {
  let low = Infinity;
  let high = -Infinity;
  for (const v of lows) if (v !== null && v !== undefined && v < low) low = v;
  for (const v of highs) if (v !== null && v !== undefined && v > high) high = v;
  return low <= high ? `${label} from ${number(low)} to ${number(high, unit)}` : "";
}

/** One reading in words: when, and what is shown of it. @param {import("./rows.js").Rows} rows @param {number} k @param {import("./legend.js").Field[]} fields */
export function readout({ t, mid, lo }, k, fields) {
  const values = fields.map((field, f) => (field.shown ? `${field.label} ${number(mid[f][k], field.unit)}` : "")).filter(Boolean);
  return `${exactTime(t[k])}${lo ? ", mean" : ""}: ${values.join(", ")}`;
}
