// The chart's controls: follow now, look back, zoom and pan, go to a time, as a table.

import { h, say } from "../../lib/dom.js";
import { duration, time } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { lasting, panned, spanOf } from "../../lib/chart/window.js";

const LIVE = /** @type {const} */ ([["30 s", 30], ["2 min", 120], ["10 min", 600]]);
const BACK = /** @type {const} */ ([["1 min", 60], ["10 min", 600], ["1 h", 3600], ["6 h", 21_600], ["1 day", 86_400], ["7 days", 604_800]]);
const GOTO_MS = 60_000;
const KEYS = "Keys, when the chart has the focus: + and − zoom, ← and → move, Home and End go to the first and the newest readings, L follows live. "
  + "Shift with ← or → moves a cursor, comma and full stop move it by one reading, Escape takes it away.";

/** @param {() => import("../../lib/chart/explorer.js").Explorer | null} chart */
export function controls(chart) {
  const live = LIVE.map(([label, s]) => button(label, () => chart()?.follow(s * 1000), `Follow the last ${label}`));
  const back = BACK.map(([label, s]) => button(label, () => chart()?.span(s * 1000), `Look at ${label}`));
  const pan = (/** @type {number} */ share) => {
    const at = chart();
    if (at) at.go(panned(at.view, share));
  };
  const goto = h("input", { type: "datetime-local", step: "1", id: "goto", onchange: () => go() });
  const go = () => {
    const at = chart();
    const when = new Date(goto.value).getTime();
    if (!at || Number.isNaN(when)) return;
    const span_ms = at.follow_ms === null ? spanOf(at.view) : GOTO_MS;
    at.go(lasting({ from: 0, to: when + span_ms / 2 }, span_ms));
  };
  const table = h("button", { type: "button", class: "button small", "aria-pressed": "false", onclick: () => {
    const shown = table.getAttribute("aria-pressed") !== "true";
    table.setAttribute("aria-pressed", String(shown));
    chart()?.showTable(shown);
  } }, "Show as table");
  const where = h("p", { class: "where small muted" }, "\u00a0");
  const el = h("div", { class: "controls" }, group("Live", live), group("Look back", back), where);
  const below = h("div", { class: "controls" },
    h("div", { class: "row", role: "group", "aria-label": "Zoom and move" },
      drawn("left", "Earlier", () => pan(-0.5)), drawn("minus", "Zoom out", () => chart()?.zoom(2)), drawn("plus", "Zoom in", () => chart()?.zoom(0.5)), drawn("right", "Later", () => pan(0.5))),
    h("div", { class: "row" }, h("label", { for: "goto", class: "small" }, "Go to"), goto),
    table);
  const help = h("p", { class: "small muted help", id: "chart-keys" },
    h("span", { class: "for-mouse" }, "Drag to zoom in, turn the wheel to zoom, drag with Shift to move. "), h("span", { class: "for-touch" }, "Move with one finger, zoom with two. "), KEYS);
  return {
    el, below, help,
    /** As the chart stands now. */
    update() {
      const at = chart();
      if (!at) return;
      LIVE.forEach(([, s], k) => live[k].setAttribute("aria-pressed", String(at.follow_ms === s * 1000)));
      BACK.forEach(([, s], k) => back[k].setAttribute("aria-pressed", String(at.follow_ms === null && Math.abs(spanOf(at.view) - s * 1000) < s)));
      say(where, at.follow_ms === null ? `${time(at.view.from)} to ${time(at.view.to)}: ${duration(spanOf(at.view) / 1000)}` : `Live: the last ${duration(at.follow_ms / 1000)}`);
    },
  };
}

/** @param {string} label @param {() => void} act @param {string} words */
const button = (label, act, words) => h("button", { type: "button", class: "button small", "aria-pressed": "false", "aria-label": words, onclick: act }, label);

/** @param {"left" | "right" | "plus" | "minus"} name @param {string} words @param {() => void} act */
const drawn = (name, words, act) => h("button", { type: "button", class: "button small", "aria-label": words, title: words, onclick: act }, icon(name, 16));

/** @param {string} label @param {HTMLElement[]} buttons */
const group = (label, buttons) => h("div", { class: "row", role: "group", "aria-label": label }, h("span", { class: "small muted", "aria-hidden": "true" }, label), buttons);
