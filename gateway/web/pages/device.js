// One device: its live chart with history, what was found on it, and what came of its session.

import { api, isAborted } from "../lib/api.js";
import { Explorer } from "../lib/chart/explorer.js";
import { h, replace, sheet, toast } from "../lib/dom.js";
import { ms } from "../lib/format.js";
import { open } from "../lib/live.js";
import { vendor } from "../lib/vendor.js";
import { address, amend } from "../lib/within.js";
import { controls } from "./device/controls.js";
import { Findings } from "./device/findings.js";
import { header } from "./device/header.js";
import { favourite, fieldsOf, isText, picker, sensorName } from "./device/sensors.js";
import { showSession } from "./device/sessions.js";
import { showTexts } from "./device/texts.js";

export const title = (/** @type {string[]} */ [name]) => name ?? "Device";

const LIVE_MS = 30_000;
const POINTS = 200; // a batch's rows at most: more than a second's on a phone
const TICK_MS = 1_000;
const SESSION_MS = 10_000;
const ADDRESS_MS = 400; // a browser refuses an address that changes with every wheel's turn

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  const page = new Device(root, context);
  await page.start();
}

class Device {
  /** @param {HTMLElement} root @param {import("../app.js").Context} context */
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.signal = context.signal;
    this.name = context.params[0] ?? "";
    /** @type {any} */
    this.known = null;
    /** @type {Map<string, import("./device/sensors.js").Known[]>} */
    this.catalogue = new Map();
    /** @type {number | null} */
    this.seen_ms = null;
    /** @type {any} */
    this.battery = null;
    /** @type {Explorer | null} */
    this.chart = null;
    this.sensor = "";
    this.choosing = new AbortController(); // ends when another sensor is chosen
    this.header = header(this.name);
    this.controls = controls(() => this.chart);
    this.findings = new Findings(this.name, this.signal, (view) => this.look(view), () => this.found());
    this.picked = h("div", { class: "picker-room" });
    this.stage = h("div", { class: "chart-room" });
    this.session = h("div", { class: "session" });
    this.timer = 0;
  }

  async start() {
    await Promise.all([sheet("/assets/styles/chart.css"), sheet("/assets/styles/device.css"), vendor("uplot")]);
    const { root, signal, name } = this;
    replace(root, this.header.el, this.picked,
      h("section", { class: "card chart-card", "aria-label": "Chart" }, this.controls.el, this.stage, this.controls.below, this.controls.help),
      h("div", { class: "beside-chart" },
        h("section", { class: "card", "aria-labelledby": "found-title" }, h("h2", { id: "found-title" }, "Anomalies"), this.findings.el),
        h("section", { class: "card", "aria-labelledby": "session-title" }, h("h2", { id: "session-title" }, "Latest session"), this.session)));
    const [{ devices }, { sensors }, { latest }] = await Promise.all([
      api.get("/v1/devices", { signal }), api.get("/v1/catalogue", { signal }), api.get("/v1/latest", { params: { sensor: "battery" }, signal }),
    ]);
    this.known = devices.find((/** @type {any} */ d) => d.device === name);
    this.catalogue = new Map(sensors.map((/** @type {any} */ s) => [s.name, s.fields]));
    if (!this.known) return replace(root, none(name));
    this.seen_ms = ms(this.known.last_ns);
    this.battery = latest.find((/** @type {any} */ one) => one.device === name)?.values ?? null;
    this.tick();
    this.every(TICK_MS, () => this.tick());
    if (!this.known.sensors.length) return this.waitForFirst();
    const asked = this.context.query.get("sensor") ?? "";
    this.choose(this.known.sensors.includes(asked) ? asked : favourite(this.known.sensors), true);
    void this.findings.load();
    this.sessions();
    this.every(SESSION_MS, () => this.sessions());
  }

  /** @param {string} sensor @param {boolean} [isFirst]  the address says where to look */
  choose(sensor, isFirst = false) {
    this.choosing.abort();
    this.choosing = new AbortController();
    const signal = AbortSignal.any([this.signal, this.choosing.signal]);
    const before = this.chart;
    this.sensor = sensor;
    this.chart = null;
    replace(this.picked, picker(this.known.sensors, sensor, (other) => this.choose(other)));
    const fields = this.catalogue.get(sensor) ?? [];
    const text = isText(fields);
    for (const el of [this.controls.el, this.controls.below, this.controls.help]) el.hidden = text;
    if (text) {
      replace(this.stage, h("p", { class: "muted" }, "Loading …"));
      showTexts(this.stage, this.name, sensor, this.seen_ms, signal).catch((error) => this.failed(error));
      this.moved();
    } else this.draw(sensor, fieldsOf(sensor, fields), before, isFirst, signal);
    this.follow(signal);
  }

  /** @param {string} sensor @param {import("./device/sensors.js").Field[]} fields @param {Explorer | null} before @param {boolean} isFirst @param {AbortSignal} signal */
  draw(sensor, fields, before, isFirst, signal) {
    const [from, to] = ["from", "to"].map((name) => Number(this.context.query.get(name)));
    const asked = isFirst && from > 0 && to > from ? { from, to } : null;
    const stays = before && before.follow_ms === null ? before.view : null;
    const isSilent = this.seen_ms !== null && Date.now() - this.seen_ms > 2 * LIVE_MS;
    const last = isSilent && !before ? { from: /** @type {number} */ (this.seen_ms) - 60_000, to: /** @type {number} */ (this.seen_ms) + 1000 } : null;
    const view = asked ?? stays ?? last;
    const chart = new Explorer({
      device: this.name, sensor, fields, signal, view, follow_ms: view ? null : (before?.follow_ms ?? LIVE_MS),
      first_ms: ms(this.known.first_ns), last_ms: this.seen_ms,
      moved: () => this.moved(), failed: (error) => this.failed(error),
    });
    this.chart = chart;
    replace(this.stage, chart.el, sensor === "location" ? h("p", { class: "small" }, h("a", { href: address("map", { device: this.name }) }, "Show where it is on the map")) : null);
    chart.start().catch((error) => this.failed(error));
    this.found();
    this.moved();
  }

  /** @param {AbortSignal} signal */
  follow(signal) {
    const isChart = this.chart !== null;
    open({ kinds: isChart ? ["readings", "pulse", "anomaly"] : ["pulse", "anomaly"], devices: [this.name], sensors: isChart ? [this.sensor] : [], points: POINTS }, {
      state: (state) => this.context.link(state),
      hello: () => { if (this.chart?.feed.since === Infinity) this.chart.began(); },
      readings: (event) => this.chart?.take(event),
      pulse: (event) => this.pulse(event),
      anomaly: (one) => this.findings.take(one),
      lost: () => this.missed(),
      reset: () => this.missed(),
    }, signal);
  }

  missed() {
    this.chart?.began();
    void this.findings.load();
  }

  /** @param {any} event */
  pulse(event) {
    this.seen_ms = Math.max(this.seen_ms ?? 0, event.received);
    if (event.battery) this.battery = { ...this.battery, ...event.battery };
  }

  tick() {
    this.header.update(this.seen_ms, this.battery, Date.now());
    if (!this.chart) return;
    this.controls.update();
    this.findings.want(this.chart.view);
    this.findings.draw(this.chart.view);
  }

  /** The chart looks elsewhere: the address and the list say so. */
  moved() {
    this.controls.update();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      if (this.signal.aborted) return;
      const view = this.chart && this.chart.follow_ms === null ? this.chart.view : null;
      amend(address(`device/${this.name}`, { sensor: this.sensor, from: view && String(Math.round(view.from)), to: view && String(Math.round(view.to)) }));
      this.tick();
    }, ADDRESS_MS);
  }

  found() {
    this.chart?.mark(this.findings.marks());
    if (this.chart) this.findings.draw(this.chart.view);
  }

  /** @param {import("../lib/chart/plot.js").View} view */
  look(view) {
    this.chart?.go(view);
    this.chart?.el.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  sessions() {
    showSession(this.session, this.name, this.signal).catch((error) => {
      if (!isAborted(error) && !this.session.children.length) replace(this.session, h("p", { class: "muted" }, error.message));
    });
  }

  /** Enrolled, and nothing came: the page comes alive with its first batch. */
  waitForFirst() {
    replace(this.root, this.header.el, h("div", { class: "empty" }, h("h2", null, "Nothing came from this device yet"),
      h("p", null, "As soon as it sends, its readings are drawn here."),
      h("a", { class: "button primary", href: address(`devices/of/${this.name}`) }, "Set it up")));
    const stream = open({ kinds: ["pulse"], devices: [this.name] }, {
      state: (state) => this.context.link(state),
      pulse: () => {
        stream.close();
        setTimeout(() => this.signal.aborted || dispatchEvent(new HashChangeEvent("hashchange")), 2 * TICK_MS); // the store is a moment behind
      },
    }, this.signal);
  }

  /** @param {number} wait_ms @param {() => void} act */
  every(wait_ms, act) {
    const timer = setInterval(() => document.hidden || act(), wait_ms);
    this.signal.addEventListener("abort", () => clearInterval(timer));
  }

  /** @param {any} error */
  failed(error) {
    if (isAborted(error) || this.signal.aborted) return;
    if (this.stage.querySelector(".uplot, table")) return toast(`${sensorName(this.sensor)}: ${error.message}`, "bad");
    replace(this.stage, h("div", { class: "notice bad", role: "alert" }, h("p", null, error.message), h("button", { class: "button", onclick: () => this.choose(this.sensor) }, "Try again")));
  }
}

/** @param {string} name */
function none(name) {
  return h("div", { class: "empty" }, h("h2", null, name ? `There is no device ${name}` : "Which device?"),
    h("p", null, "It may have been deleted, or have another name."), h("a", { class: "button primary", href: "#/" }, "All devices"));
}
