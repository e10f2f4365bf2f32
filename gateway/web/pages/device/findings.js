// What was found on this device: marks for the chart, and the list under it.

import { api, isAborted } from "../../lib/api.js";
import { h, replace, toast } from "../../lib/dom.js";
import { ms, time } from "../../lib/format.js";
import { address } from "../../lib/within.js";
import { kindName, lasted, SEVERITIES, start, state, streamName, why } from "../anomalies/words.js";

/** @typedef {import("../anomalies/words.js").Anomaly} Anomaly @typedef {import("../../lib/chart/plot.js").View} View */

const LIMIT = 200;
const KEPT_MAX = 2_000;
const LISTED_MAX = 50;
const WAIT_MS = 300;

export class Findings {
  /** @param {string} device @param {AbortSignal} signal @param {(view: View) => void} go  look there @param {() => void} changed */
  constructor(device, signal, go, changed) {
    this.device = device;
    this.signal = signal;
    this.go = go;
    this.changed = changed;
    /** @type {Map<string, Anomaly>} */
    this.known = new Map();
    this.since = Infinity; // all from here on are known
    this.timer = 0;
    this.drawn = "";
    this.el = h("div", { class: "found-here" });
  }

  /** The latest; more as one looks further back. @param {View} [span] */
  async load(span) {
    const between = span ? { from: nsOf(span.from), to: nsOf(span.to) } : {};
    try {
      const { anomalies, next } = await api.get("/v1/anomalies", { params: { device: this.device, limit: LIMIT, ...between }, signal: this.signal });
      if (this.known.size > KEPT_MAX) this.known.clear();
      for (const one of anomalies) this.put(one);
      if (!span) this.since = next ? Math.min(...anomalies.map(start)) : 0;
      this.changed();
    } catch (error) {
      if (!isAborted(error)) toast(`Anomalies could not be loaded: ${/** @type {Error} */ (error).message}`, "bad");
    }
  }

  /** @param {Anomaly} one */
  put(one) {
    const before = this.known.get(one.id);
    if (!before || before.version <= one.version) this.known.set(one.id, one);
  }

  /** One that came live. @param {Anomaly} one */
  take(one) {
    this.put(one);
    this.changed();
  }

  /** What lies further back than what is known is asked for. @param {View} view */
  want(view) {
    clearTimeout(this.timer);
    if (view.from >= this.since) return;
    this.timer = window.setTimeout(() => void this.load(view), WAIT_MS);
  }

  /** @returns {import("../../lib/chart/marks.js").Mark[]} */
  marks() {
    return [...this.known.values()].filter((one) => state(one.label) !== "dismissed").map((one) => {
      const [severity, tone] = SEVERITIES[one.severity] ?? [one.severity, "accent"];
      const words = `${kindName(one.kind)}, ${severity.toLowerCase()}, ${time(start(one))}, ${lasted(one)}: ${why(one)}`;
      return { id: one.id, from_ms: start(one), to_ms: one.open ? Math.max(end(one), Date.now()) : end(one), label: kindName(one.kind), severity, tone, words, href: address(`anomalies/${one.id}`) };
    });
  }

  /** The list of those in view. @param {View} view */
  draw(view) {
    const all = [...this.known.values()].sort((a, b) => b.start_ns - a.start_ns);
    const seen = all.filter((one) => end(one) >= view.from && start(one) <= view.to).slice(0, LISTED_MAX);
    const shown = seen.length ? seen : all.slice(0, 3);
    const now = shown.map((one) => `${one.id}${one.version}${state(one.label)}`).join() + seen.length;
    if (now === this.drawn || (this.drawn && this.el.contains(document.activeElement))) return; // nothing moves under a hand
    this.drawn = now;
    const note = seen.length ? "" : all.length ? "None in what the chart shows. The latest:" : "Nothing found on this device yet. Detection learns first what is usual for it.";
    replace(this.el, note ? h("p", { class: "muted" }, note) : null, h("ul", null, shown.map((one) => this.item(one))));
  }

  /** @param {Anomaly} one */
  item(one) {
    const [severity, tone] = SEVERITIES[one.severity] ?? [one.severity, ""];
    const label = { confirmed: "Confirmed", dismissed: "Dismissed", seen: "Seen", new: "" }[state(one.label)];
    return h("li", { class: "finding-here" },
      h("button", { type: "button", class: "look", onclick: () => this.look(one), "aria-label": `Show ${kindName(one.kind)} of ${time(start(one))} in the chart` },
        h("span", { class: "row" }, h("strong", null, kindName(one.kind)), h("span", { class: `chip ${tone}` }, severity), label ? h("span", { class: "chip" }, label) : null,
          h("span", { class: "muted small" }, `${time(start(one))}, ${lasted(one)}, ${streamName(one.stream)}`)),
        h("span", { class: "small" }, why(one))),
      h("a", { href: address(`anomalies/${one.id}`), class: "button small" }, "Details", h("span", { class: "sr" }, ` of ${kindName(one.kind)}, ${time(start(one))}`)));
  }

  /** @param {Anomaly} one */
  look(one) {
    const room = Math.max(2_000, (end(one) - start(one)) * 0.6);
    this.go({ from: start(one) - room, to: end(one) + room });
  }
}

/** @param {Anomaly} one */
const end = (one) => Math.max(/** @type {number} */ (ms(one.end_ns)), start(one));

/** @param {number} at  ms */
const nsOf = (at) => String(BigInt(Math.max(0, Math.round(at))) * 1_000_000n);
