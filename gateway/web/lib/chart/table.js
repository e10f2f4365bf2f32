// What a chart shows, as a table.

import { h } from "../dom.js";
import { exactTime, number, unit } from "../format.js";

/** @typedef {import("./rows.js").Rows} Rows @typedef {import("./legend.js").Field} Field */

export const ROWS_MAX = 200;

/** Which rows to show: all, or evenly so many. @param {number} rows @param {number} [most] @returns {number[]} */
export function evenly(rows, most = ROWS_MAX) {
  if (rows <= most) return Array.from({ length: rows }, (_, k) => k);
  return Array.from({ length: most }, (_, k) => Math.round((k * (rows - 1)) / (most - 1)));
}

/** @param {Rows} rows  what is seen @param {Field[]} fields @param {string} caption */
export function tableOf(rows, fields, caption) {
  const shown = fields.map((f, k) => ({ ...f, k })).filter((f) => f.shown);
  const whole = rows.t.map((_, k) => k).filter((k) => shown.some((f) => rows.mid[f.k][k] !== null && rows.mid[f.k][k] !== undefined));
  const picked = evenly(whole.length).map((k) => whole[k]);
  const note = whole.length > picked.length ? `, ${picked.length} of ${whole.length} rows` : `, ${whole.length} rows`;
  const head = (/** @type {Field} */ f) => `${f.label}${unit(f.unit) ? ` (${unit(f.unit)})` : ""}${rows.lo ? ", mean" : ""}`;
  return h("div", { class: "scroll table-of", tabindex: "0", role: "region", "aria-label": "Values as a table" }, h("table", null,
    h("caption", { class: "muted small" }, caption + note),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), shown.map((f) => h("th", { scope: "col", class: "num" }, head(f))))),
    h("tbody", null, picked.map((k) => h("tr", null,
      h("td", { class: "nowrap" }, exactTime(rows.t[k])),
      shown.map((f) => h("td", { class: "num" }, number(rows.mid[f.k][k])))))),
  ));
}
