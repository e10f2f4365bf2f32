// A marker a device: where it is, where it heads, how sure it is, and how long ago that was.

import { h, say } from "../../lib/dom.js";
import { address } from "../../lib/within.js";
import { age, motion, where } from "./places.js";

const NAMES_MAX = 40; // more names would cover the map: then only the chosen one's is shown

/** @typedef {import("./places.js").Fix} Fix */

export class Markers {
  /** @param {any} map  Leaflet's @param {(device: string) => void} chosen */
  constructor(map, chosen) {
    this.map = map;
    this.chosen = chosen;
    /** @type {Map<string, Marker>} */
    this.all = new Map();
  }

  /** @param {string} device @param {Fix} fix @returns {boolean} whether it was new on the map */
  put(device, fix) {
    const known = this.all.get(device);
    if (known) known.move(fix);
    else this.all.set(device, new Marker(this.map, device, fix, () => this.chosen(device)));
    if (!known) this.map.getContainer().classList.toggle("many", this.all.size > NAMES_MAX);
    return !known;
  }

  /** @param {string | undefined} device */
  mark(device) {
    for (const [name, marker] of this.all) marker.el.classList.toggle("chosen", name === device);
  }

  /** Time passes. */
  tick() {
    for (const marker of this.all.values()) marker.draw();
  }

  /** Where they all are; null: nowhere. */
  bounds() {
    const { L } = /** @type {any} */ (window);
    return this.all.size ? L.latLngBounds([...this.all.values()].map((m) => m.marker.getLatLng())) : null;
  }
}

class Marker {
  /** @param {any} map @param {string} device @param {Fix} fix @param {() => void} chosen */
  constructor(map, device, fix, chosen) {
    const { L } = /** @type {any} */ (window);
    this.fix = fix;
    this.arrow = h("svg:svg", { class: "place-arrow", viewBox: "-12 -12 24 24", width: 34, height: 34, "aria-hidden": "true" },
      h("svg:path", { class: "heading", d: "M0 -11 L5 -4 L-5 -4 Z" }), h("svg:circle", { r: 5.5 }));
    this.el = h("div", { class: "place" }, this.arrow, h("span", { class: "place-name" }, device));
    this.words = { where: h("p", null), motion: h("p", null), age: h("p", { class: "place-age" }) };
    const popup = h("div", { class: "place-popup" }, h("h3", null, device), this.words.age, this.words.motion, this.words.where,
      h("p", null, h("a", { href: address(`device/${device}`) }, "Open the device")));
    this.circle = L.circle([fix.latitude, fix.longitude], { radius: 0, className: "place-circle", interactive: false }).addTo(map);
    this.marker = L.marker([fix.latitude, fix.longitude], { icon: L.divIcon({ html: this.el, className: "place-icon", iconSize: [34, 34] }), title: device, riseOnHover: true, zIndexOffset: 1000 })
      .bindPopup(popup, { autoPanPadding: [24, 24], minWidth: 200 }).on("click keypress", chosen).addTo(map);
    this.marker.getElement().setAttribute("aria-label", device);
    this.move(fix);
  }

  /** @param {Fix} fix */
  move(fix) {
    if (fix.t < this.fix.t) return; // a backlog
    this.fix = fix;
    this.marker.setLatLng([fix.latitude, fix.longitude]);
    this.circle.setLatLng([fix.latitude, fix.longitude]).setRadius(fix.horizontal_accuracy ?? 0);
    this.draw();
  }

  draw() {
    const { kind, words } = age(this.fix, Date.now());
    this.el.dataset.age = kind;
    say(this.words.age, words);
    say(this.words.motion, motion(this.fix));
    say(this.words.where, where(this.fix));
    const heads = typeof this.fix.bearing === "number" && (this.fix.speed ?? 1) >= 0.3;
    this.arrow.classList.toggle("heads", heads);
    if (heads) this.arrow.style.transform = `rotate(${this.fix.bearing}deg)`;
  }
}
