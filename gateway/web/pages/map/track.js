// Where the chosen device was: its track, and what detection found along it.

import { api, isAborted } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { time } from "../../lib/format.js";
import { address } from "../../lib/within.js";
import { kindName, start, why } from "../anomalies/words.js";
import { fixesOf, lines, nearest } from "./places.js";

/** @typedef {import("./places.js").Fix} Fix
 * @typedef {import("../anomalies/words.js").Anomaly} Anomaly */

export const SPANS = /** @type {const} */ ([["15m", "15 min", 900], ["1h", "1 hour", 3600], ["6h", "6 hours", 21_600], ["24h", "24 hours", 86_400]]);
const RAW_MAX = 10_000; // rows
const POINTS = 2_000;
const GAP_MS_MIN = 60_000;
const FOUND_WITHIN_MS = 60_000; // an anomaly has a position if a fix is as near as that
const FOUND_MAX = 200;

export class Track {
  /** @param {any} map  Leaflet's @param {AbortSignal} signal */
  constructor(map, signal) {
    const { L } = /** @type {any} */ (window);
    this.signal = signal;
    this.line = L.polyline([], { className: "track", weight: 4, interactive: false }).addTo(map);
    this.finds = L.layerGroup().addTo(map);
    this.asking = new AbortController();
    signal.addEventListener("abort", () => this.asking.abort());
    this.#forget();
  }

  #forget() {
    this.device = "";
    this.gap_ms = GAP_MS_MIN;
    /** @type {Fix[]} */
    this.fixes = [];
    /** @type {Map<string, Anomaly>} */
    this.found = new Map();
    this.line.setLatLngs([]);
    this.finds.clearLayers();
    /** @type {Map<string, any>} */
    this.marks = new Map();
  }

  /** No device is chosen. */
  clear() {
    this.asking.abort();
    this.#forget();
  }

  /** Load the device's last `span_s` seconds; how many positions that are.  @param {string} device @param {number} span_s */
  async load(device, span_s) {
    this.asking.abort();
    const asking = (this.asking = new AbortController());
    if (device !== this.device) this.#forget();
    this.device = device;
    this.span_s = span_s;
    const to = Date.now() + 60_000; // a clock ahead
    const from = Date.now() - span_s * 1000;
    const span = { device, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    try {
      const [columns, { anomalies }] = await Promise.all([
        positions(span, span_s, asking.signal),
        api.get("/v1/anomalies", { params: { ...span, limit: FOUND_MAX }, signal: asking.signal }),
      ]);
      const newest = this.fixes.at(-1)?.t ?? 0;
      const read = fixesOf(columns);
      const last = read.at(-1)?.t ?? 0;
      this.fixes = newest > last ? [...read, ...this.fixes.filter((fix) => fix.t > last)] : read; // what came live meanwhile
      this.gap_ms = Math.max(GAP_MS_MIN, (3 * span_s * 1000) / POINTS);
      this.#forgetFound();
      for (const one of anomalies) this.found.set(one.id, one);
      this.#draw();
      return this.fixes.length;
    } catch (error) {
      if (isAborted(error) || asking.signal.aborted) return null;
      throw error;
    }
  }

  /** It moved on. @param {string} device @param {Fix} fix */
  append(device, fix) {
    const last = this.fixes.at(-1);
    if (device !== this.device || (last && fix.t <= last.t)) return;
    this.fixes.push(fix);
    const oldest = Date.now() - (this.span_s ?? 0) * 1000;
    while (this.fixes.length && this.fixes[0].t < oldest) this.fixes.shift();
    this.#draw();
  }

  /** Something was found live. @param {Anomaly} one */
  find(one) {
    if (one.device !== this.device) return;
    this.found.set(one.id, one);
    this.#draw();
  }

  #forgetFound() {
    this.found.clear();
    this.finds.clearLayers();
    this.marks.clear();
  }

  #draw() {
    this.line.setLatLngs(lines(this.fixes, this.gap_ms));
    for (const one of this.found.values()) if (!this.marks.has(one.id)) this.#mark(one);
  }

  /** @param {Anomaly} one */
  #mark(one) {
    const { L } = /** @type {any} */ (window);
    const at = nearest(this.fixes, start(one), Math.max(FOUND_WITHIN_MS, this.gap_ms));
    if (!at) return; // no position was near in time; it is in the inbox all the same
    const popup = h("div", { class: "place-popup" }, h("h3", null, kindName(one.kind)), h("p", null, time(start(one))), h("p", null, why(one)),
      h("p", null, h("a", { href: address(`anomalies/${one.id}`) }, "Look at it and judge it")));
    const mark = L.marker([at.latitude, at.longitude], { icon: L.divIcon({ html: h("span", { class: `find ${one.severity}` }, "!"), className: "find-icon", iconSize: [24, 24] }), title: `${kindName(one.kind)}, ${time(start(one))}` }).bindPopup(popup);
    this.finds.addLayer(mark);
    mark.getElement()?.setAttribute("aria-label", `${kindName(one.kind)}, ${time(start(one))}`);
    this.marks.set(one.id, mark);
  }
}

/** Every position where they are few, else the means of so many stretches.
 * @param {Record<string, string>} span @param {number} span_s @param {AbortSignal} signal */
async function positions(span, span_s, signal) {
  const params = { ...span, sensor: "location" };
  if (span_s <= 3600) {
    const raw = await api.get("/v1/readings", { params: { ...params, limit: RAW_MAX }, signal });
    if (!raw.truncated) return raw.columns;
  }
  return (await api.get("/v1/readings", { params: { ...params, points: POINTS }, signal })).columns;
}
