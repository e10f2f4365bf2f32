// Which fields of a sensor are drawn, and which at first.

import { h } from "../../lib/dom.js";

/** @typedef {{name: string, unit: string, kind: "number" | "text" | "bool"}} Known @typedef {import("../../lib/chart/legend.js").Field} Field */

const FIRST = ["acceleration", "linear_acceleration", "gyroscope", "location", "temperature"];
const AT_FIRST = { location: ["speed", "altitude"] };
const CHARTED_MAX = 6; // at first: more lines nobody tells apart

/** The sensor to show when nobody said which. @param {string[]} sensors */
export const favourite = (sensors) => FIRST.find((s) => sensors.includes(s)) ?? sensors[0];

/** The numeric fields of a sensor; those are shown at first that have the first one's unit. @param {string} sensor @param {Known[]} known @returns {Field[]} */
export function fieldsOf(sensor, known) {
  const numeric = known.filter((f) => f.kind === "number");
  const wanted = /** @type {Record<string, string[]>} */ (AT_FIRST)[sensor];
  const main = numeric.find((f) => !isAside(f.name));
  const same = numeric.filter((f) => !isAside(f.name) && f.unit === main?.unit).slice(0, CHARTED_MAX).map((f) => f.name);
  const fields = numeric.map((f) => ({ name: f.name, label: f.name.replaceAll("_", " "), unit: f.unit, shown: (wanted ?? same).includes(f.name) }));
  return [...fields.filter((f) => f.shown), ...fields.filter((f) => !f.shown)]; // the plain colours go to those that are seen
}

/** True where a table says more than a line: what the sensor measures is text, or is not known. @param {Known[]} known */
export const isText = (known) => !known.length || known[0].kind === "text" || !known.some((f) => f.kind === "number" && !isAside(f.name));

/** @param {string} name */
const isAside = (name) => name.endsWith("accuracy");

/** @param {string} sensor */
export const sensorName = (sensor) => sensor.replaceAll("_", " ");

/** @param {string[]} sensors @param {string} chosen @param {(sensor: string) => void} choose */
export function picker(sensors, chosen, choose) {
  const buttons = sensors.map((sensor) => h("button", { type: "button", class: "button small", "aria-pressed": String(sensor === chosen), onclick: () => {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b === buttons[sensors.indexOf(sensor)]));
    choose(sensor);
  } }, sensorName(sensor)));
  return h("div", { class: "picker", role: "group", "aria-label": "Sensor" }, buttons);
}
