// The pipeline: how much comes, how far the consumers are, whether the station is ready, and what could not be stored.

import { api, ApiError, isAborted } from "../lib/api.js";
import { chart } from "../lib/chart.js";
import { h, replace, say, sheet } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { Letters } from "./pipeline/letters.js";
import { CONSUMERS, lagWords, mqttWords } from "./pipeline/words.js";
import { Rates } from "./pipeline/rates.js";

export const title = "Pipeline";

const STATS_MS = 2_000;
const LETTERS_MS = 10_000;
const CHART_PX = 160;

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await sheet("/assets/styles/pipeline.css");
  const { signal, web } = context;
  const health = new Health(signal);
  const letters = new Letters(context);
  replace(root,
    h("div", { class: "page-head" }, h("h1", { class: "grow" }, "Pipeline"),
      h("a", { class: "button small", href: "/metrics", target: "_blank", rel: "noopener" }, "Metrics"),
      web.kibana_url ? h("a", { class: "button small", href: web.kibana_url, target: "_blank", rel: "noopener noreferrer" }, "Kibana") : null),
    health.el, letters.el);
  poll((rested) => health.ask(rested), STATS_MS, signal);
  letters.again = poll(() => letters.load(), LETTERS_MS, signal);
  await health.first;
}

class Health {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.rates = new Rates();
    this.readings = figure("Readings a second");
    this.batches = figure("Batches a second");
    this.devices = figure("Devices with readings");
    this.ready = h("p", { class: "row", role: "status" }, h("span", { class: "chip" }, "…"));
    this.registry = h("dd", null, "…");
    this.mqtt = h("dd", null, "…");
    this.lag = h("tbody", null, Object.keys(CONSUMERS).slice(0, 4).map(() => h("tr", null, h("td", { colspan: 2 }, h("span", { class: "skeleton" }, "loading")))));
    this.room = h("div", { class: "rate-room" });
    this.problem = h("p", { class: "problem bad", role: "alert" });
    /** @type {ReturnType<typeof chart> | null} */
    this.chart = null;
    this.el = h("div", { class: "health" },
      h("div", { class: "figures" }, this.readings.el, this.batches.el, this.devices.el),
      h("section", { class: "card rate", "aria-label": "Rates" }, h("h2", null, "The last five minutes"), this.room, this.problem),
      h("section", { class: "card", "aria-label": "Consumers" }, h("h2", null, "Consumers"),
        h("p", { class: "muted small" }, "Each reads the log at its own pace. Behind: records that it has not committed yet."),
        h("table", { class: "lag" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Consumer"), h("th", { scope: "col" }, "Behind"))), this.lag)),
      h("section", { class: "card", "aria-label": "Readiness" }, h("h2", null, "This gateway"), this.ready,
        h("dl", { class: "terms" },
          h("div", null, h("dt", null, "Devices' registry"), this.registry),
          h("div", null, h("dt", null, "MQTT"), this.mqtt)),
        h("p", { class: "muted small" }, "A gateway takes readings while the log answers and its registry of devices is at most a few seconds old.")));
    signal.addEventListener("abort", () => this.chart?.destroy());
    this.first = new Promise((done) => (this.isAnswered = done));
  }

  /** @param {boolean} rested */
  async ask(rested) {
    await Promise.all([this.#stats(rested), this.#readiness()]);
    /** @type {() => void} */ (this.isAnswered)();
  }

  /** @param {boolean} rested */
  async #stats(rested) {
    try {
      const stats = await api.get("/v1/stats", { signal: this.signal });
      if (rested) this.rates.pause();
      this.rates.add(performance.now(), Date.now(), stats);
      this.#drawStats(stats);
      say(this.problem, "");
    } catch (error) {
      if (isAborted(error)) return;
      if (!(error instanceof ApiError)) throw error;
      this.rates.pause();
      say(this.problem, error.message);
    }
  }

  /** @param {{readings: number, batches: number, devices: number, lag: Record<string, number>}} stats */
  #drawStats(stats) {
    const now = this.rates.now();
    this.readings.set(now ? count(Math.round(now.readings)) : "…", `${count(stats.readings)} in the store`);
    this.batches.set(now ? now.batches.toFixed(1) : "…", `${count(stats.batches)} in the store`);
    this.devices.set(count(stats.devices), "");
    const names = Object.keys(stats.lag);
    if (this.lag.children.length !== names.length || !this.lag.querySelector("[data-name]"))
      replace(this.lag, names.map((name) => h("tr", { data: { name } }, h("td", null, h("strong", null, name), h("span", { class: "muted small what" }, CONSUMERS[name] ?? "")), h("td", null, h("span", { class: "chip" })))));
    for (const name of names) {
      const chip = /** @type {HTMLElement} */ (this.lag.querySelector(`[data-name="${name}"] .chip`));
      const { words, tone } = lagWords(stats.lag[name]);
      say(chip, words);
      chip.className = `chip ${tone}`;
    }
    this.#drawRates();
  }

  #drawRates() {
    const { t_ms, readings, batches } = this.rates.series();
    const shown = { t_ms, series: [{ label: "readings", unit: "readings/s", values: readings, from_zero: true }, { label: "batches", unit: "batches/s", values: batches, shown: false, from_zero: true }], height: CHART_PX };
    if (this.chart) this.chart.update(shown);
    else if (t_ms.length > 2) this.chart = chart(this.room, shown);
  }

  async #readiness() {
    try {
      const ready = await api.get("/readyz", { signal: this.signal });
      this.#drawReady("good", "Ready", "");
      say(this.registry, ready.devices_age_s < 1 ? "up to date" : `${duration(ready.devices_age_s)} old`);
      say(this.mqtt, mqttWords(ready.mqtt));
    } catch (error) {
      if (isAborted(error)) return;
      if (!(error instanceof ApiError)) throw error;
      this.#drawReady("bad", error.status ? "Not ready" : "No answer", error.message);
      say(this.registry, "unknown");
      say(this.mqtt, "unknown");
    }
  }

  /** @param {string} tone @param {string} word @param {string} why */
  #drawReady(tone, word, why) {
    if (this.ready.textContent !== word + why) replace(this.ready, h("span", { class: `chip ${tone}` }, word), why && h("span", null, why));
  }
}

/** A number with its name. @param {string} name */
function figure(name) {
  const value = h("strong", { class: "figure-value" }, "…");
  const below = h("span", { class: "muted small" }, " ");
  return {
    el: h("div", { class: "card figure" }, h("span", { class: "figure-name" }, name), value, below),
    /** @param {string} text @param {string} under */
    set(text, under) {
      say(value, text);
      say(below, under || " ");
    },
  };
}
