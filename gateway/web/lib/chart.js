// A chart of samples that are all there: drag to zoom in, a double click shows all again.

import { h, replace, sheet } from "./dom.js";
import { duration, number, time } from "./format.js";
import { makePlot } from "./chart/plot.js";

/**
 * @typedef {{label: string, unit: string, values: (number | null)[], shown?: boolean, from_zero?: boolean}} Series  null: the row lacks it
 * @typedef {{t_ms: number[], series: Series[], spans?: {from_ms: number, to_ms: number, label: string, tone?: "good"|"warn"|"bad"|"accent"}[], height?: number}} Chart
 * `t_ms` strictly rising; `spans` are shaded; `height` in CSS pixels.
 */

/** Draw it into `el`, whose content it replaces.  It is drawn as soon as the library is there; its room is taken at once.
 * @param {HTMLElement} el @param {Chart} options
 * @returns {{update: (now: Chart) => void, destroy: () => void, ready: Promise<void>}} `update` with other fields makes it anew. */
export function chart(el, options) {
  /** @type {Awaited<ReturnType<typeof makePlot>> | null} */
  let plot = null;
  let shown = options;
  let made = 0;
  const host = h("div", { class: "chart-host", role: "img" });
  const keys = h("div", { class: "legend-room" });
  replace(el, h("div", { class: "chart" }, host, keys));

  const draw = () => {
    host.style.height = `${shown.height ?? 240}px`;
    host.setAttribute("aria-label", summary(shown));
    plot?.set({ t: shown.t_ms, mid: shown.series.map((s) => s.values.map((v) => v ?? undefined)) }, null, shown.spans ?? []);
  };
  const make = async () => {
    const mine = ++made;
    await sheet("/assets/styles/chart.css");
    const fields = shown.series.map((s, k) => ({ name: s.label, label: s.label, unit: s.unit, shown: s.shown ?? true, zero: s.from_zero ?? false, fixed: k }));
    const now = await makePlot(host, { fields });
    if (mine !== made) return now.destroy(); // destroyed or made anew in the meantime
    plot = now;
    replace(keys, plot.legend);
    draw();
  };
  /** A library that does not come is said in the chart's own place; who awaits `ready` hears of it, too. */
  const begin = () => {
    const making = make();
    making.catch((error) => replace(keys, h("p", { class: "muted" }, `The chart could not be drawn: ${error.message}. `),
      h("button", { type: "button", class: "button small", onclick: () => (ready = begin()) }, "Draw it again")));
    return making;
  };
  draw();
  let ready = begin();
  return {
    update(now) {
      const same = names(now) === names(shown);
      shown = now;
      if (same) return draw();
      drop();
      ready = begin();
    },
    destroy: () => drop(),
    get ready() {
      return ready;
    },
  };
  function drop() {
    made++;
    plot?.destroy();
    plot = null;
  }
}

/** @param {Chart} of */
const names = (of) => of.series.map((s) => `${s.label} ${s.unit}`).join("\n");

/** What it shows, in words. @param {Chart} of */
export function summary({ t_ms, series, spans = [] }) {
  if (!t_ms.length) return "Chart without samples";
  const ranges = series.map(({ label, unit, values }) => {
    let low = Infinity;
    let high = -Infinity;
    for (const v of values) if (v !== null && v !== undefined) [low, high] = [Math.min(low, v), Math.max(high, v)];
    return low <= high ? `${label} ${number(low)} to ${number(high, unit)}` : "";
  });
  const marked = spans.length ? `; marked: ${spans.map((s) => s.label).join(", ")}` : "";
  return `Chart of ${duration((t_ms[t_ms.length - 1] - t_ms[0]) / 1000)} from ${time(t_ms[0])}: ${ranges.filter(Boolean).join(", ")}${marked}`;
}
