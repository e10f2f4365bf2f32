// uPlot with our fields, colours, legend and shaded spans; the static and the live chart are both made of it.

import { time } from "../format.js";
import { vendor } from "../vendor.js";
import { legend } from "./legend.js";
import { axes, colour, dashOf, faint, steadyRange, tokenOf } from "./look.js";

/** @typedef {import("./legend.js").Field} Field
 * @typedef {{from_ms: number, to_ms: number, label: string, tone?: string}} Span  `tone`: good, warn, bad, accent
 * @typedef {(number | null | undefined)[]} Column  null breaks the line, undefined is passed over
 * @typedef {{t: number[], mid: Column[], lo?: Column[] | null, hi?: Column[] | null}} Drawn  a column a field, in their order
 * @typedef {{from: number, to: number}} View  ms
 */

const PER_FIELD = 3; // its middle, and the two edges of its band
const BAND = 0.22;
const SHADE = 0.16;

/**
 * A plot that fills `host` and follows its size.
 * @param {HTMLElement} host  has a height of its own
 * @param {{fields: Field[], cursor?: any, drawn?: () => void, selected?: (view: View) => void}} options
 */
export async function makePlot(host, { fields, cursor = {}, drawn, selected }) {
  await vendor("uplot");
  const units = [...new Set([...fields].sort((a, b) => Number(b.shown) - Number(a.shown)).map((f) => f.unit))];
  /** @type {Span[]} */
  let spans = [];
  /** @type {Drawn} */
  let data = { t: [], mid: fields.map(() => []) };
  let banded = true;
  const keys = legend(fields, (k, shown) => {
    fields[k].shown = shown;
    u.batch(() => show(k));
  });
  const u = new /** @type {any} */ (window).uPlot(
    {
      width: Math.max(host.clientWidth, 50), height: Math.max(host.clientHeight, 50), ms: 1, legend: { show: false }, pxAlign: 0,
      scales: { x: { time: true }, ...Object.fromEntries(units.map((unit, k) => [`y${k}`, { range: steadyRange(k === 0, fields.some((f) => f.zero && f.unit === unit)) }])) },
      axes: axes(units),
      series: [{}, ...fields.flatMap((field, k) => lines(field, k, `y${units.indexOf(field.unit)}`))],
      bands: fields.map((field, k) => ({ series: [3 + k * PER_FIELD, 2 + k * PER_FIELD], fill: () => faint(colour(tokenOf(field.fixed ?? k)), BAND) })),
      cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false, setScale: !selected }, ...cursor },
      hooks: {
        drawClear: [() => shade(u, spans)],
        draw: [() => { if (drawn) drawn(); }],
        setCursor: [() => tell()],
        setSelect: [() => select()],
      },
    },
    columns(data),
    host,
  );

  function show(/** @type {number} */ k) {
    u.setSeries(1 + k * PER_FIELD, { show: fields[k].shown });
    for (const edge of [2, 3]) u.setSeries(edge + k * PER_FIELD, { show: fields[k].shown && banded });
  }
  function tell() {
    const at = u.cursor.idx ?? data.t.length - 1;
    keys.values(at >= 0 && data.t.length ? time(data.t[at]) : "", fields.map((_, k) => near(data.mid[k], at)));
  }
  function select() {
    if (!selected || u.select.width < 3) return;
    selected({ from: u.posToVal(u.select.left, "x"), to: u.posToVal(u.select.left + u.select.width, "x") });
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
  const size = new ResizeObserver(() => {
    if (host.clientWidth && (host.clientWidth !== u.width || host.clientHeight !== u.height)) u.setSize({ width: host.clientWidth, height: host.clientHeight });
  });
  size.observe(host);
  const theme = () => u.redraw(false, true);
  document.addEventListener("sensorline:theme", theme);

  return {
    u,
    legend: keys.el,
    /** New rows, spans and place in time; drawn once. @param {Drawn} now @param {View | null} view @param {Span[]} marked */
    set(now, view, marked) {
      data = now;
      spans = marked;
      u.batch(() => {
        u.setData(columns(now), view === null);
        if (view) u.setScale("x", { min: view.from, max: view.to });
        if (banded === Boolean(now.lo)) return;
        banded = Boolean(now.lo); // behind setData: with no rows at all, showing a series would pin its scale
        fields.forEach((_, k) => show(k));
      });
      tell();
    },
    destroy() {
      size.disconnect();
      document.removeEventListener("sensorline:theme", theme);
      u.destroy();
    },
  };
}

/** @param {Field} field @param {number} k @param {string} scale */
function lines(field, k, scale) {
  const own = field.fixed ?? k;
  const edge = { scale, show: field.shown, width: 0, points: { show: false } };
  return [{ scale, label: field.label, show: field.shown, width: 1.5, dash: dashOf(own), stroke: () => colour(tokenOf(own)) }, { ...edge }, { ...edge }];
}

/** @param {Drawn} data */
function columns({ t, mid, lo, hi }) {
  return [t, ...mid.flatMap((values, k) => [values, lo?.[k] ?? values, hi?.[k] ?? values])];
}

/** The value at a row, or the last before it: a field may be absent in a row. @param {Column} values @param {number} at */
function near(values, at) {
  for (let k = at; k > at - 20 && k >= 0; k--) if (values[k] !== undefined) return values[k];
  return null;
}

/** @param {any} u @param {Span[]} spans */
function shade(u, spans) {
  const { left, top, width, height } = u.bbox;
  for (const { from_ms, to_ms, tone = "bad" } of spans) {
    const begin = u.valToPos(from_ms, "x", true);
    const end = Math.max(u.valToPos(to_ms, "x", true), begin + 2 * devicePixelRatio); // a moment is seen, too
    const [from, to] = [Math.max(left, begin), Math.min(left + width, end)];
    if (to <= from) continue;
    u.ctx.fillStyle = faint(colour(`--${tone}`), SHADE);
    u.ctx.fillRect(from, top, to - from, height);
    u.ctx.fillStyle = colour(`--${tone}`);
    u.ctx.fillRect(from, top, to - from, 3 * devicePixelRatio);
  }
}
