// A chart's legend: a button a field, which hides and shows it, with the value under the cursor.

import { h, say } from "../dom.js";
import { number } from "../format.js";
import { tokenOf } from "./look.js";

/** @typedef {{name: string, label: string, unit: string, shown: boolean, fixed?: number, zero?: boolean}} Field
 * `fixed`: the number that picks its colour, else its place. */

/** @param {Field[]} fields @param {(k: number, shown: boolean) => void} toggled
 * @returns {{el: HTMLElement, values: (at: string, values: (number | null | undefined)[]) => void}} */
export function legend(fields, toggled) {
  const at = h("span", { class: "legend-at muted" }, "");
  const shown = fields.map((field, k) => {
    const value = h("span", { class: "legend-value num" }, "–");
    const button = h("button", { type: "button", class: "legend-field", "aria-pressed": String(field.shown), title: "Show or hide" },
      swatch(field.fixed ?? k), h("span", null, field.label), value);
    button.addEventListener("click", () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(now));
      toggled(k, now);
    });
    return { button, value };
  });
  const later = fields.flatMap((field, k) => (field.shown ? [] : [shown[k].button]));
  const more = h("button", { type: "button", class: "legend-field more", "aria-expanded": "false", onclick: () => {
    for (const button of later) button.hidden = false;
    later[0].focus();
    more.remove();
  } }, `${later.length} more ${later.length === 1 ? "field" : "fields"}`);
  for (const button of later) button.hidden = true;
  const el = h("div", { class: "legend", role: "group", "aria-label": "Fields" }, shown.map((one) => one.button), later.length ? more : null, at);
  return {
    el,
    values(when, values) {
      say(at, when);
      values.forEach((v, k) => say(shown[k].value, number(v, fields[k].unit)));
    },
  };
}

/** @param {number} k */
function swatch(k) {
  return h("span", { class: "swatch", "aria-hidden": "true", style: { background: `var(${tokenOf(k)})` } });
}
