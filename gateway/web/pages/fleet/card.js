// A device in the fleet's list; what has not changed is not touched.

import { colour } from "../../lib/chart/look.js";
import { h, say } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { batteryText, isLow, seenText, STATES } from "../../lib/seen.js";
import { address } from "../../lib/within.js";
import { SEVERITIES } from "../anomalies/words.js";

/** @typedef {import("./model.js").Device} Device */

/** @param {Device} device */
export function card(device) {
  const chip = h("span", { class: "chip" });
  const seen = h("span", { class: "muted small seen" });
  const charge = h("span", null);
  const battery = h("span", { class: "battery small" }, icon("battery", 16), charge);
  const sensors = h("p", { class: "sensors muted small" });
  const rate = h("span", { class: "small num rate" });
  const spark = h("canvas", { class: "spark", "aria-hidden": "true" });
  const found = h("a", { class: "chip found", href: address("anomalies", { device: device.name, open: "yes" }) });
  const el = h("li", { class: "card device-card" },
    h("div", { class: "row top" }, h("h2", { class: "grow" }, h("a", { href: address(`device/${device.name}`) }, device.name)), chip),
    h("div", { class: "row facts" }, seen, battery, found),
    sensors,
    h("div", { class: "row flow" }, spark, rate));
  const paint = sparkline(spark);
  return {
    el,
    /** @param {number} now */
    update(now) {
      const [word, tone, meaning] = STATES[device.state(now)];
      say(chip, word);
      if (chip.dataset.tone !== tone) {
        chip.className = `chip ${tone}`;
        chip.dataset.tone = tone;
        chip.title = meaning;
      }
      say(seen, seenText(device.seen_ms, now));
      const text = batteryText(device.battery);
      battery.classList.toggle("none", text === null);
      battery.classList.toggle("bad", isLow(device.battery));
      say(charge, text ?? "–");
      say(sensors, device.sensors.length ? device.sensors.join(", ").replaceAll("_", " ") : "no sensor known yet");
      sensors.title = sensors.textContent ?? "";
      const worst = device.worst;
      found.classList.toggle("none", worst === null);
      found.tabIndex = worst === null ? -1 : 0;
      if (worst) {
        const [severity, colour] = SEVERITIES[worst] ?? [worst, ""];
        say(found, `${device.open.size} open, ${severity.toLowerCase()}`);
        for (const one of ["bad", "warn", "accent"]) found.classList.toggle(one, one === colour);
      }
      say(rate, rateText(device.rates.perSecond(now)));
      paint(device.rates.last(now));
    },
  };
}

/** @param {number | null} per_s */
export const rateText = (per_s) => per_s === null ? "…" : `${per_s > 0 && per_s < 10 ? per_s.toFixed(1) : count(per_s)}\u202f/s`;

/** @param {HTMLCanvasElement} canvas */
function sparkline(canvas) {
  return (/** @type {number[]} */ values) => {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const pen = canvas.getContext("2d");
    if (!width || !pen) return;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale)) [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const most = Math.max(1, ...values) * 1.1;
    const step = width / values.length;
    pen.fillStyle = colour("--accent");
    values.forEach((n, k) => {
      const tall = n ? Math.max(1, (n / most) * height) : 0;
      pen.fillRect(k * step, height - tall, Math.max(1, step - 1), tall);
    });
  };
}
