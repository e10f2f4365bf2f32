// Every device at a glance: what needs a look first.

import { api, isAborted } from "../lib/api.js";
import { h, replace, say, sheet, toast } from "../lib/dom.js";
import { count, ms, plural } from "../lib/format.js";
import { open } from "../lib/live.js";
import { STATES } from "../lib/seen.js";
import { rateText } from "./fleet/card.js";
import { List } from "./fleet/list.js";
import { Device, figures } from "./fleet/model.js";

export const title = "Fleet";

const TICK_MS = 1_000;
const AGAIN_MS = 60_000; // sensors come and go seldom
const SOON_MS = 3_000; // a device that just came up is in the store by then
const LIMIT = 1_000;

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await sheet("/assets/styles/fleet.css");
  await new Fleet(root, context).start();
}

class Fleet {
  /** @param {HTMLElement} root @param {import("../app.js").Context} context */
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.signal = context.signal;
    /** @type {Map<string, Device>} */
    this.devices = new Map();
    this.ahead_ms = 0; // the station's clock before ours
    this.timer = 0;
    this.list = new List(this.signal, () => this.now());
    this.live = figure("Live devices");
    this.rate = figure("Readings/s");
    this.open = figure("Open anomalies", "#/anomalies?open=yes");
    this.told = h("p", { class: "muted small", role: "status" });
    this.again = h("button", { type: "button", class: "button small none", title: "What needs a look comes first", onclick: () => this.sort() }, "Sort again");
    this.nothing = h("div", null);
  }

  now() {
    return Date.now() + this.ahead_ms;
  }

  async start() {
    const { root, signal } = this;
    replace(root, h("div", { class: "page-head" }, h("h1", null, "Fleet")), h("dl", { class: "figures" }, this.live.el, this.rate.el, this.open.el),
      this.bar(), h("div", { class: "cards fleet", "aria-hidden": "true" }, Array.from({ length: 6 }, () => h("div", { class: "card device-card skeleton" }, "…"))));
    await this.load();
    this.sort();
    const { nothing, list } = this;
    /** @type {Element} */ (root.lastElementChild).replaceWith(h("div", { class: "listed" }, nothing, list.el));
    this.follow();
    this.tick();
    this.every(TICK_MS, () => this.tick());
    this.every(AGAIN_MS, () => void this.reload());
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  bar() {
    const states = [["", "All states"], ["anomaly", "With open anomalies"], ...Object.entries(STATES).map(([state, [word]]) => [state, word])];
    const name = h("input", { type: "search", id: "fleet-name", placeholder: "Filter by name", autocomplete: "off", oninput: () => this.sift() });
    const state = h("select", { id: "fleet-state", onchange: () => this.sift() }, states.map(([value, word]) => h("option", { value }, word)));
    this.filter = () => ({ name: name.value.trim(), state: state.value });
    return h("div", { class: "row fleet-bar" }, h("label", { class: "sr", for: "fleet-name" }, "Name"), name, h("label", { class: "sr", for: "fleet-state" }, "State"), state, h("div", { class: "row told" }, this.told, this.again));
  }

  /** All that the store and the registry say. */
  async load() {
    const { signal } = this;
    const [{ devices }, { latest }, { anomalies }] = await Promise.all([
      api.get("/v1/devices", { signal }), api.get("/v1/latest", { params: { sensor: "battery" }, signal }), api.get("/v1/anomalies", { params: { open: true, limit: LIMIT }, signal }),
    ]);
    for (const said of devices) {
      const device = this.device(said.device);
      device.sensors = said.sensors;
      // A device's clock may be ahead; what it says lies in the future was seen now.
      const last_ms = ms(said.last_ns);
      if (last_ms !== null) device.seen_ms = Math.max(device.seen_ms ?? 0, Math.min(last_ms, this.now()));
    }
    const known = new Set(devices.map((/** @type {any} */ d) => d.device));
    for (const [name, device] of this.devices) if (!known.has(name) && device.state(this.now()) !== "live") this.drop(name); // deleted
    for (const one of latest) if (this.devices.has(one.device)) this.device(one.device).battery = one.values;
    for (const device of this.devices.values()) device.open.clear();
    for (const one of anomalies) if (this.devices.has(one.device)) this.device(one.device).anomaly(one);
    this.list.all();
  }

  async reload() {
    try {
      await this.load();
    } catch (error) {
      if (!isAborted(error)) toast(`The fleet could not be loaded anew: ${/** @type {Error} */ (error).message}`, "bad");
    }
  }

  follow() {
    open({ kinds: ["pulse", "anomaly"] }, {
      state: (state) => this.context.link(state),
      hello: ({ now }) => (this.ahead_ms = now - Date.now()),
      pulse: (event) => {
        if (!this.devices.has(event.device)) this.soon();
        this.device(event.device).pulse(event);
        this.list.changed(event.device);
      },
      anomaly: (one) => {
        this.devices.get(one.device)?.anomaly(one);
        this.list.changed(one.device);
      },
      lost: () => this.soon(),
      reset: () => this.soon(),
    }, this.signal);
  }

  /** @param {string} name */
  device(name) {
    const known = this.devices.get(name);
    if (known) return known;
    const made = new Device(name);
    this.devices.set(name, made);
    this.list.add(made);
    return made;
  }

  /** @param {string} name */
  drop(name) {
    this.devices.delete(name);
    this.list.remove(name);
  }

  /** Look into the store in a moment. */
  soon() {
    this.timer ||= window.setTimeout(() => {
      this.timer = 0;
      void this.reload();
    }, SOON_MS);
  }

  sort() {
    this.list.sort();
    this.again.classList.add("none");
    this.sift();
  }

  sift() {
    this.list.filter = this.filter?.() ?? this.list.filter;
    const left = this.list.sift();
    const all = this.devices.size;
    say(this.told, left === all ? plural(all, "device") : `${count(left)} of ${plural(all, "device")}`);
    const state = all === 0 ? "empty" : left === 0 ? "none" : "";
    if (this.nothing.dataset.state === state) return;
    this.nothing.dataset.state = state;
    replace(this.nothing, all === 0 ? empty() : left === 0 ? h("p", { class: "empty" }, "No device fits the filter.") : null);
  }

  tick() {
    const now = this.now();
    const sums = figures(this.devices.values(), now);
    this.live.set(`${count(sums.live)} of ${count(sums.devices)}`);
    this.rate.set(rateText(sums.per_s).replace("\u202f/s", ""));
    this.open.set(count(sums.open), sums.open ? "bad" : "");
    // Its first batch is on the stream a moment before the store knows its sensors.
    if ([...this.devices.values()].some((d) => !d.sensors.length && d.state(now) === "live")) this.soon();
    this.list.all();
    this.sift();
    const mixed = this.list.isMixed;
    if (mixed && this.list.isStill) this.sort();
    else this.again.classList.toggle("none", !mixed); // its room stays
  }

  /** @param {number} wait_ms @param {() => void} act */
  every(wait_ms, act) {
    const timer = setInterval(() => document.hidden || act(), wait_ms);
    this.signal.addEventListener("abort", () => clearInterval(timer));
  }
}

/** @param {string} label @param {string} [href] */
function figure(label, href) {
  const value = h("dd", null, "–");
  const el = h("div", { class: "figure" }, h("dt", { class: "muted small" }, href ? h("a", { href }, label) : label), value);
  return {
    el,
    /** @param {string} text @param {string} [tone] */
    set(text, tone = "") {
      say(value, text);
      value.className = tone;
    },
  };
}

function empty() {
  return h("div", { class: "empty" }, h("h2", null, "No device yet"),
    h("p", null, "Add a phone or a Raspberry Pi: it takes a minute, and its readings appear here by themselves."),
    h("a", { class: "button primary", href: "#/devices/new" }, "Add a device"),
    h("p", null, "Or let simulated devices send, to look around:"),
    h("code", { class: "command" }, `sensorline simulate --devices 5 --ledger fleet.jsonl --url ${location.origin}`));
}
