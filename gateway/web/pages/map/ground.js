// The map itself: tiles where the settings name them, else a plain graticule; a scale, and zoom buttons.

import { h } from "../../lib/dom.js";
import { vendor } from "../../lib/vendor.js";
import { graticule } from "./graticule.js";

const ZOOM_MAX = 19;

/** @param {HTMLElement} el @param {{tile_url: string, tile_attribution: string}} web @param {AbortSignal} signal @returns {Promise<any>} Leaflet's map */
export async function makeMap(el, web, signal) {
  await vendor("leaflet");
  if (signal.aborted) return null;
  const { L } = /** @type {any} */ (window);
  const map = L.map(el, { zoomControl: false, attributionControl: false, minZoom: 1, maxZoom: ZOOM_MAX, worldCopyJump: true, zoomAnimation: !calm(), fadeAnimation: !calm(), markerZoomAnimation: !calm() });
  map.setView([20, 0], 1);
  L.control.zoom({ position: "bottomright" }).addTo(map);
  L.control.scale({ position: "bottomleft", imperial: false }).addTo(map);
  if (web.tile_url) {
    if (web.tile_attribution) L.control.attribution({ position: "bottomright", prefix: false }).addTo(map);
    L.tileLayer(web.tile_url, { maxZoom: ZOOM_MAX, attribution: escaped(web.tile_attribution) }).addTo(map);
  } else graticule().addTo(map);
  const watcher = new ResizeObserver(() => map.invalidateSize({ pan: false }));
  watcher.observe(el);
  signal.addEventListener("abort", () => {
    watcher.disconnect();
    map.remove();
  });
  return map;
}

/** Leaflet takes markup here; the settings hold text. @param {string} text */
const escaped = (text) => h("span", null, text).innerHTML;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
