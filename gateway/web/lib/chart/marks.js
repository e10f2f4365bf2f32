// The flags above a chart: what was found, where; those that would lie on each other are one.

import { h } from "../dom.js";
import { clustered } from "./window.js";

/** @typedef {{id: string, from_ms: number, to_ms: number, label: string, severity: string, tone: string, words: string, href: string}} Mark  `words`: read out
 * @typedef {import("./plot.js").View} View */

/** @param {HTMLElement} el  the strip @param {(view: View) => void} go  several were chosen: look closer */
export function marksOf(el, go) {
  /** @type {Map<string, HTMLElement>} */
  let shown = new Map();
  return {
    /** @param {Mark[]} marks @param {View} view @param {number} left_px  where the plot begins @param {number} width_px */
    draw(marks, view, left_px, width_px) {
      const now = new Map();
      for (const { left_px: at, of } of clustered(marks, view, width_px)) {
        const key = of.map((m) => `${m.id}${m.label}${m.tone}`).join();
        const flag = shown.get(key) ?? (of.length > 1 ? several(of, go) : one(of[0]));
        flag.style.transform = `translateX(${Math.round(left_px + at)}px)`;
        if (!flag.isConnected) el.append(flag);
        now.set(key, flag);
      }
      for (const [key, flag] of shown) if (!now.has(key)) flag.remove();
      shown = now;
    },
  };
}

/** @param {Mark} mark */
function one({ label, severity, tone, words, href }) {
  return h("a", { class: `mark ${tone}`, href, title: words, "aria-label": words }, h("span", null, label), h("span", null, severity));
}

/** @param {Mark[]} marks @param {(view: View) => void} go */
function several(marks, go) {
  const from = marks[0].from_ms;
  const to = Math.max(...marks.map((m) => m.to_ms));
  const tone = ["bad", "warn"].find((t) => marks.some((m) => m.tone === t)) ?? "accent";
  const words = `${marks.length} anomalies: zoom in to tell them apart`;
  return h("button", { type: "button", class: `mark ${tone}`, title: words, "aria-label": words, onclick: () => go({ from, to }) },
    h("span", null, `${marks.length} found`), h("span", null, marks.some((m) => m.severity !== marks[0].severity) ? "look closer" : marks[0].severity));
}
