// A session as a card: a bar of shares, the counts, the clock.

import { h } from "../../lib/dom.js";
import { time } from "../../lib/format.js";
import { address } from "../../lib/within.js";
import { clockWords, counts, intervals, MEANINGS, shares } from "./words.js";

/** @typedef {import("./words.js").Session} Session */

const FIRST_INTERVALS = 6;
const ALL_INTERVALS = 400;

/** @param {Session} one @param {boolean} isOpen  its list of numbers */
export function card(one, isOpen) {
  return [
    h("div", { class: "session-head" },
      h("h2", null, h("a", { href: address(`device/${one.device}`) }, one.device)),
      h("span", { class: "mono small muted session-id" }, one.session)),
    bar(one),
    h("dl", { class: "session-counts" }, counts(one).map(([word, what, isTrouble]) => h("div", { class: isTrouble ? "trouble" : null }, h("dt", null, word), h("dd", null, what)))),
    one.missing.length ? missing(one.missing, isOpen) : null,
    h("p", { class: `small ${one.clock.skewed ? "warn" : "muted"}` }, `Clock: ${clockWords(one.clock)}.`),
    h("p", { class: "small muted" }, `First received ${time(one.first_received_ns / 1e6)}, last ${time(one.last_received_ns / 1e6)}.`),
  ];
}

/** @param {[number, number][]} all @param {boolean} isOpen */
function missing(all, isOpen) {
  if (all.length <= FIRST_INTERVALS) return h("p", { class: "small" }, `Missing numbers: ${intervals(all, FIRST_INTERVALS)}`);
  return h("details", { class: "small", open: isOpen }, h("summary", null, `Missing numbers: ${intervals(all, FIRST_INTERVALS)}`), h("p", { class: "mono" }, intervals(all, ALL_INTERVALS)));
}

/** Shares of the readings; in words for who does not see it. @param {Session} one */
function bar(one) {
  const parts = shares(one);
  const whole = Object.values(parts).reduce((a, b) => a + b, 0) || 1;
  const said = Object.entries(parts).filter(([, n]) => n > 0);
  const words = said.map(([name, n]) => `${name === "rejected" ? "refused" : name} ${percent(n / whole)}`);
  return h("div", { class: "session-bar" },
    h("div", { class: "bar-room", role: "img", "aria-label": words.join(", ") || "nothing yet" }, said.map(([name, n]) => h("span", { class: name, style: { flexGrow: String(n / whole) } }))),
    h("p", { class: "small" }, words.join(", ")));
}

/** Never 100 % where something is not there. @param {number} share */
function percent(share) {
  if (share === 1) return "100 %";
  if (share > 0.999) return "99.9 %";
  if (share < 0.001) return "under 0.1 %";
  return `${(share * 100).toFixed(share > 0.1 && share < 0.99 ? 0 : 1)} %`;
}

export const help = () => h("details", { class: "help" }, h("summary", null, "What the words mean"),
  h("dl", null, MEANINGS.map(([word, meaning]) => h("div", null, h("dt", null, word), h("dd", null, meaning)))));
