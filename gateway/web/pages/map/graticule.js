// The map without tiles: lines of latitude and longitude, labelled at the edges, at a step that fits the zoom.

import { h, replace } from "../../lib/dom.js";
import { degrees } from "./places.js";

const STEPS_DEG = [45, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];
const LINE_PX_MIN = 110; // between two lines
const LATITUDE_MAX = 85; // Mercator's end

/** The step whose lines stand no closer than `LINE_PX_MIN`. @param {number} deg_px  degrees a pixel */
export const stepOf = (deg_px) => STEPS_DEG.findLast((step) => step / deg_px >= LINE_PX_MIN) ?? STEPS_DEG[0];

/** A layer of Leaflet's; `window.L` must be there. @returns {any} */
export function graticule() {
  const { L } = /** @type {any} */ (window);
  const labels = h("div", { class: "graticule-labels", "aria-hidden": "true" });
  const lines = L.layerGroup();

  const Layer = L.Layer.extend({
    onAdd(/** @type {any} */ map) {
      map.getContainer().append(labels);
      lines.addTo(map);
      map.on("moveend resize", this._draw, this).on("move", this._place, this).on("zoomstart", this._hide, this);
      this._draw();
    },
    onRemove(/** @type {any} */ map) {
      labels.remove();
      lines.remove();
      map.off("moveend resize", this._draw, this).off("move", this._place, this).off("zoomstart", this._hide, this);
    },
    _hide: () => replace(labels), // a zoom moves them otherwise than the lines
    _draw() {
      const map = this._map;
      const bounds = map.getBounds().pad(0.5);
      const [south, north] = [Math.max(bounds.getSouth(), -LATITUDE_MAX), Math.min(bounds.getNorth(), LATITUDE_MAX)];
      lines.clearLayers();
      const line = (/** @type {[number, number][]} */ ends) => lines.addLayer(L.polyline(ends, { className: "graticule-line", weight: 1, interactive: false, noClip: true }));
      const step = stepAt(map);
      for (const lon of multiples(bounds.getWest(), bounds.getEast(), step)) line([[south, lon], [north, lon]]);
      for (const lat of multiples(south, north, step)) line([[lat, bounds.getWest()], [lat, bounds.getEast()]]);
      this._place();
    },
    _place() {
      const map = this._map;
      const bounds = map.getBounds();
      const step = stepAt(map);
      const center = map.getCenter();
      const label = (/** @type {string} */ text, /** @type {string} */ kind, /** @type {Partial<CSSStyleDeclaration>} */ style) => h("span", { class: `graticule-label ${kind}`, style }, text);
      const size = map.getSize();
      const vertical = multiples(bounds.getWest(), bounds.getEast(), step).map((lon) => {
        const { x } = map.latLngToContainerPoint([center.lat, lon]);
        return x > 60 && x < size.x - 40 && label(degrees(wrapped(lon), "E", "W", step), "longitude", { left: `${x}px` });
      });
      const horizontal = multiples(bounds.getSouth(), bounds.getNorth(), step).map((lat) => {
        const { y } = map.latLngToContainerPoint([lat, center.lng]);
        return Math.abs(lat) < LATITUDE_MAX && y > 24 && y < size.y - 40 && label(degrees(lat, "N", "S", step), "latitude", { top: `${y}px` });
      });
      replace(labels, vertical, horizontal);
    },
  });
  return new Layer();
}

/** By longitude: its lines stand evenly on Mercator. @param {any} map */
function stepAt(map) {
  const bounds = map.getBounds();
  return stepOf((bounds.getEast() - bounds.getWest()) / Math.max(map.getSize().x, 1));
}

/** Multiples of `step` from `low` to `high`, at most 100. @param {number} low @param {number} high @param {number} step */
function multiples(low, high, step) {
  const first = Math.ceil(low / step);
  const n = Math.min(Math.max(Math.floor(high / step) - first + 1, 0), 100);
  return Array.from({ length: n }, (_, k) => (first + k) * step);
}

/** -180..180, for a map that goes round the world. @param {number} lon */
const wrapped = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
