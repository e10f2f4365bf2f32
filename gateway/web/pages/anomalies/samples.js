// The readings around an anomaly, drawn with its span marked.

import { api, ApiError } from "../../lib/api.js";
import { chart } from "../../lib/chart.js";
import { h, replace, say } from "../../lib/dom.js";
import { plural } from "../../lib/format.js";
import { grouped } from "./groups.js";
import { kindName, start } from "./words.js";

const HEIGHT_PX = 220;
const TONES = /** @type {const} */ ({ critical: "bad", warning: "warn", info: "accent" });
/** Sensor -> its fields' units, asked for once. @type {Promise<Record<string, Record<string, string>>> | null} */
let units = null;

export class Samples {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.told = h("p", { class: "muted small", role: "status" }, "Loading the readings around it …");
    this.room = h("div", { class: "samples-room" });
    this.choice = h("div", { class: "row", role: "group", "aria-label": "Which readings" });
    this.el = h("section", { class: "samples card", "aria-label": "Readings around it" }, h("h3", null, "Readings around it"), this.choice, this.room, this.told);
    /** @type {ReturnType<typeof chart> | null} */
    this.chart = null;
    this.chosen = "";
    signal.addEventListener("abort", () => this.chart?.destroy());
  }

  /** @param {import("./words.js").Anomaly & {samples: {columns: Record<string, (number | null)[]> & {t: number[]}, truncated: boolean}}} whole */
  async draw(whole) {
    const { columns, truncated } = whole.samples;
    const all = grouped(whole.stream, columns, await known());
    if (!all.length) {
      replace(this.choice);
      replace(this.room, h("p", { class: "empty" }, whole.open ? "The readings around it are kept once it is over." : "No readings were kept around it."));
      return say(this.told, "");
    }
    if (!all.some((group) => group.name === this.chosen)) this.chosen = usual(whole.kind, all.map((group) => group.name));
    replace(this.choice, all.length < 2 ? null : all.map((group) => h("button", {
      type: "button", class: "button small", "aria-pressed": String(group.name === this.chosen),
      onclick: (/** @type {MouseEvent} */ e) => {
        this.chosen = group.name;
        for (const el of this.choice.children) el.setAttribute("aria-pressed", String(el === e.currentTarget));
        this.#show(whole, group);
      },
    }, group.name)));
    const group = /** @type {import("./groups.js").Group} */ (all.find((one) => one.name === this.chosen));
    this.#show(whole, group);
    say(this.told, `${plural(columns.t.length, "reading")} from before it until after it${truncated ? "; there were more than are kept" : ""}. Drag over the chart to look closer; a double click shows all.`);
  }

  /** @param {import("./words.js").Anomaly} one @param {import("./groups.js").Group} group */
  #show(one, group) {
    const spans = [{ from_ms: start(one), to_ms: Math.max(one.end_ns / 1e6, start(one) + 1), label: kindName(one.kind), tone: TONES[/** @type {"info"} */ (one.severity)] }];
    const shown = { t_ms: group.t_ms, series: group.series, spans, height: HEIGHT_PX };
    if (this.chart) this.chart.update(shown);
    else this.chart = chart(this.room, shown);
  }

  /** @param {string} text */
  failed(text) {
    say(this.told, `The readings could not be loaded: ${text}`);
  }
}

/** What shows such an anomaly best. @param {string} kind @param {string[]} names */
function usual(kind, names) {
  const wished = kind.startsWith("gps_") || kind === "impossible_speed" ? "Position" : { harsh_brake: "Speed" }[kind];
  return names.find((name) => name === wished) ?? names[0];
}

/** Without a catalogue the chart has no units, and still its lines. */
async function known() {
  units ??= api.get("/v1/catalogue").then(({ sensors }) => Object.fromEntries(sensors.map((/** @type {any} */ s) =>
    [s.name, Object.fromEntries(s.fields.map((/** @type {any} */ f) => [f.name, f.unit]))])));
  try {
    return await units;
  } catch (error) {
    units = null;
    if (error instanceof ApiError) return {};
    throw error;
  }
}
