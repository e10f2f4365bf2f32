// The fleet's cards: drawn a few a frame, those in sight only, and never all anew.

import { h } from "../../lib/dom.js";
import { card } from "./card.js";
import { fits, ordered } from "./model.js";

/** @typedef {import("./model.js").Device} Device @typedef {ReturnType<typeof card>} Card */

const BATCH = 40; // cards a frame
const EVERY_MS = 250;
const STILL_MS = 30_000; // while somebody is at it nothing moves
const SORT_MS = 60_000; // and otherwise seldom

export class List {
  /** @param {AbortSignal} signal @param {() => number} now */
  constructor(signal, now) {
    this.now = now;
    this.signal = signal;
    this.el = h("ul", { class: "cards fleet", "aria-label": "Devices" });
    /** @type {Map<string, {device: Device, card: Card, seen: boolean}>} */
    this.cards = new Map();
    /** @type {Set<string>} */
    this.dirty = new Set();
    this.filter = { name: "", state: "" };
    this.touched = Date.now();
    this.sorted = 0;
    this.frame = 0;
    this.timer = 0;
    /** @type {WeakMap<Element, string>} */
    this.names = new WeakMap();
    this.sight = new IntersectionObserver((entries) => this.looked(entries), { rootMargin: "200px" });
    for (const name of ["pointermove", "pointerdown", "keydown", "scroll", "wheel"]) addEventListener(name, () => (this.touched = Date.now()), { passive: true, signal, capture: true });
    document.addEventListener("sensorline:theme", () => this.all(), { signal });
    signal.addEventListener("abort", () => this.close());
  }

  /** A device that has no card yet gets one, at the end. @param {Device} device */
  add(device) {
    if (this.cards.has(device.name)) return;
    const made = card(device);
    this.names.set(made.el, device.name);
    this.cards.set(device.name, { device, card: made, seen: false });
    this.el.append(made.el);
    made.update(this.now());
    this.sight.observe(made.el);
  }

  /** @param {string} name */
  remove(name) {
    const one = this.cards.get(name);
    if (!one) return;
    this.sight.unobserve(one.card.el);
    one.card.el.remove();
    this.cards.delete(name);
  }

  /** Something about this device changed. @param {string} name */
  changed(name) {
    this.dirty.add(name);
    this.timer ||= window.setTimeout(() => this.flush(), EVERY_MS);
  }

  all() {
    for (const name of this.cards.keys()) this.changed(name);
  }

  flush() {
    this.timer = 0;
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const now = this.now();
    let left = BATCH;
    for (const name of this.dirty) {
      const one = this.cards.get(name);
      this.dirty.delete(name);
      if (!one?.seen) continue; // drawn when it comes into sight
      one.card.update(now);
      if (--left === 0) break;
    }
    if (this.dirty.size && !this.signal.aborted) this.frame = requestAnimationFrame(() => this.draw());
  }

  /** @param {IntersectionObserverEntry[]} entries */
  looked(entries) {
    for (const { target, isIntersecting } of entries) {
      const name = this.names.get(target) ?? "";
      const one = this.cards.get(name);
      if (!one) continue;
      one.seen = isIntersecting;
      if (isIntersecting) this.changed(name);
    }
  }

  /** Hide what the filter leaves out; how many are left. */
  sift() {
    const now = this.now();
    let left = 0;
    for (const { device, card: { el } } of this.cards.values()) {
      const shown = fits(device, this.filter, now);
      if (el.hidden === shown) el.hidden = !shown;
      if (shown) left++;
    }
    return left;
  }

  /** What needs a look comes first; cards that stay in order stay where they are. */
  sort() {
    this.sorted = Date.now();
    let before = null;
    for (const device of ordered([...this.cards.values()].map((one) => one.device), this.now())) {
      const { el } = /** @type {{card: Card}} */ (this.cards.get(device.name)).card;
      const next = before ? before.nextElementSibling : this.el.firstElementChild;
      if (next !== el) this.el.insertBefore(el, next);
      before = el;
    }
  }

  /** True when the cards no longer stand in their order. */
  get isMixed() {
    const now = this.now();
    const order = ordered([...this.cards.values()].map((one) => one.device), now);
    let k = 0;
    for (let el = this.el.firstElementChild; el; el = el.nextElementSibling) if (order[k++]?.name !== this.names.get(el)) return true;
    return false;
  }

  /** Nobody moves, points or types: cards may change places. */
  get isStill() {
    return Date.now() - this.touched > STILL_MS && Date.now() - this.sorted > SORT_MS && !this.el.contains(document.activeElement);
  }

  close() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.sight.disconnect();
  }
}
