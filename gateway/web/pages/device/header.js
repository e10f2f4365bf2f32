// Who a device is and how it is: state, battery, last seen, and where else it is shown.

import { h, say } from "../../lib/dom.js";
import { icon } from "../../lib/icons.js";
import { batteryText, isLow, seenText, stateOf, STATES } from "../../lib/seen.js";
import { address } from "../../lib/within.js";

/** @param {string} name */
export function header(name) {
  const chip = h("span", { class: "chip state-chip" }, "…");
  const seen = h("span", { class: "muted small seen" }, "\u00a0");
  const charge = h("span", { class: "small" });
  const battery = h("span", { class: "row battery", hidden: true }, icon("battery", 18), charge);
  const link = (/** @type {string} */ label, /** @type {string} */ page) => h("a", { class: "button small", href: address(page, { device: name }) }, label);
  const el = h("div", { class: "page-head device-head" },
    h("h1", null, name), chip, battery, seen,
    h("div", { class: "row links" }, link("Map", "map"), link("Anomalies", "anomalies"), link("Completeness", "completeness"), h("a", { class: "button small", href: address(`devices/of/${name}`) }, "Manage")));
  return {
    el,
    /** @param {number | null} seen_ms @param {any} latest @param {number} now */
    update(seen_ms, latest, now) {
      const state = stateOf(seen_ms, now);
      const [word, tone, meaning] = STATES[state];
      say(chip, word);
      chip.className = `chip state-chip ${tone}`;
      chip.title = meaning;
      say(seen, seenText(seen_ms, now));
      const text = batteryText(latest);
      battery.hidden = text === null;
      battery.classList.toggle("bad", isLow(latest));
      say(charge, text ?? "");
    },
  };
}
