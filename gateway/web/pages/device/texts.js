// A sensor that says words: its latest readings as a table.

import { api } from "../../lib/api.js";
import { h, replace } from "../../lib/dom.js";
import { ms, number, time } from "../../lib/format.js";
import { sensorName } from "./sensors.js";

const ROWS_MAX = 50;
const BACK_NS = [3_600n, 86_400n, 30n * 86_400n].map((s) => s * 1_000_000_000n);
const LIMIT = 10_000;
const AGAIN_MS = 10_000;
const META = new Set(["t", "session", "seq", "series", "i"]);

/** Shows it, and looks again now and then until `signal`. @param {HTMLElement} el @param {string} device @param {string} sensor @param {number | null} last_ms @param {AbortSignal} signal */
export async function showTexts(el, device, sensor, last_ms, signal) {
  const draw = async () => replace(el, tableOf(sensor, await latest(device, sensor, last_ms ?? Date.now(), signal)));
  await draw();
  const timer = setInterval(() => document.hidden || draw().catch(() => undefined), AGAIN_MS); // the table that is there stays
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** The last rows, looking back only as far as it takes. @param {string} device @param {string} sensor @param {number} last_ms @param {AbortSignal} signal @returns {Promise<Record<string, any[]>>} */
async function latest(device, sensor, last_ms, signal) {
  const to = BigInt(Math.ceil(Math.max(last_ms, Date.now()))) * 1_000_000n + 1n;
  /** @type {Record<string, any[]>} */
  let columns = { t: [] };
  for (const back of BACK_NS) {
    const from = to > back ? to - back : 0n;
    columns = (await api.get("/v1/readings", { params: { device, sensor, from: String(from), to: String(to), limit: LIMIT }, signal })).columns;
    if (columns.t.length >= ROWS_MAX) break;
  }
  return columns;
}

/** @param {string} sensor @param {Record<string, any[]>} columns */
function tableOf(sensor, columns) {
  const rows = columns.t.length;
  if (!rows) return h("div", { class: "empty" }, h("h2", null, "Nothing in the last 30 days"), h("p", null, "What this sensor says is listed here as it comes."));
  const names = Object.keys(columns).filter((name) => !META.has(name) && columns[name].some((v) => v !== null));
  const picked = Array.from({ length: Math.min(rows, ROWS_MAX) }, (_, k) => rows - 1 - k);
  return h("div", { class: "scroll table-of", tabindex: "0", role: "region", "aria-label": `${sensorName(sensor)}: latest` }, h("table", null,
    h("caption", { class: "muted small" }, `${sensorName(sensor)}: the latest ${picked.length} readings`),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), names.map((name) => h("th", { scope: "col" }, name.replaceAll("_", " "))))),
    h("tbody", null, picked.map((k) => h("tr", null, h("td", { class: "nowrap" }, time(/** @type {number} */ (ms(columns.t[k])))), names.map((name) => h("td", null, shown(columns[name][k]))))))));
}

/** @param {any} value */
function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return number(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
