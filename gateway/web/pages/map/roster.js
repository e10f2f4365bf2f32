// The devices beside the map: who is where, in words; choosing one works without a mouse.

import { h, replace, say } from "../../lib/dom.js";
import { age, motion, where } from "./places.js";

/** @typedef {import("./places.js").Fix} Fix */

export class Roster {
  /** @param {(device: string) => void} choose */
  constructor(choose) {
    this.choose = choose;
    /** @type {Map<string, {button: HTMLElement, words: HTMLElement, at: HTMLElement, fix: Fix | null}>} */
    this.lines = new Map();
    this.list = h("ul", { class: "roster" }, Array.from({ length: 4 }, () => h("li", { class: "skeleton", "aria-hidden": "true" }, "…")));
    this.search = h("input", { type: "search", id: "roster-search", placeholder: "Find a device", "aria-label": "Find a device", hidden: true, oninput: () => this.#filter() });
    this.el = h("section", { class: "roster-box", "aria-label": "Devices" }, this.search, this.list);
  }

  /** @param {string[]} devices */
  offer(devices) {
    for (const one of this.list.querySelectorAll(".skeleton")) one.remove();
    for (const device of devices) this.#line(device);
    this.#order();
  }

  /** @param {string} device @param {Fix} fix */
  put(device, fix) {
    const isNew = !this.lines.has(device);
    const line = this.#line(device);
    if (line.fix && fix.t < line.fix.t) return;
    line.fix = fix;
    this.#say(line);
    if (isNew) this.#order();
  }

  /** @param {string | undefined} device */
  mark(device) {
    for (const [name, { button }] of this.lines) button.setAttribute("aria-pressed", String(name === device));
  }

  /** Time passes. */
  tick() {
    for (const line of this.lines.values()) this.#say(line);
  }

  /** @param {string} device */
  #line(device) {
    const known = this.lines.get(device);
    if (known) return known;
    const words = h("span", { class: "small muted" }, "no position yet");
    const at = h("span", { class: "sr" });
    const dot = h("span", { class: "dot", "aria-hidden": "true" });
    const button = h("button", { type: "button", class: "roster-line", "aria-pressed": "false", data: { device }, onclick: () => this.choose(device) },
      dot, h("span", { class: "grow" }, h("strong", null, device), words, at));
    const line = { button, words, at, fix: /** @type {Fix | null} */ (null) };
    this.lines.set(device, line);
    this.list.append(h("li", null, button));
    return line;
  }

  /** @param {{button: HTMLElement, words: HTMLElement, at: HTMLElement, fix: Fix | null}} line */
  #say({ button, words, at, fix }) {
    if (!fix) return;
    const aged = age(fix, Date.now());
    say(words, [motion(fix), aged.words].filter(Boolean).join(" · "));
    say(at, `, ${where(fix)}`);
    /** @type {HTMLElement} */ (button.firstElementChild).className = `dot ${{ fresh: "good", ageing: "warn", stale: "" }[aged.kind]}`;
  }

  /** By name; what has the focus stays where it is. */
  #order() {
    const sorted = [...this.lines.keys()].sort();
    sorted.forEach((name, k) => {
      const li = /** @type {Element} */ (this.lines.get(name)?.button.parentElement);
      if (this.list.children[k] !== li) this.list.insertBefore(li, this.list.children[k] ?? null);
    });
    this.search.hidden = this.lines.size < 12;
  }

  #filter() {
    const wanted = this.search.value.trim().toLowerCase();
    for (const [name, { button }] of this.lines) /** @type {HTMLElement} */ (button.parentElement).hidden = !name.toLowerCase().includes(wanted);
  }

  /** Instead of the list. @param {...any} children */
  instead(...children) {
    replace(this.list, h("li", null, children));
  }
}
