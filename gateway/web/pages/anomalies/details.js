// One anomaly whole: what, why, the samples around it, and what people say of it.

import { api, isAborted } from "../../lib/api.js";
import { h, replace, say } from "../../lib/dom.js";
import { icon } from "../../lib/icons.js";
import { number, time, unit } from "../../lib/format.js";
import { address } from "../../lib/within.js";
import { history, judgeForm } from "./judge.js";
import { Samples } from "./samples.js";
import { SEVERITIES, kindMeaning, kindName, lasted, score, start, streamName, why } from "./words.js";

/** @typedef {import("./words.js").Anomaly} Anomaly */

const AROUND_MS = 30_000;

export class Details {
  /** @param {Anomaly} one @param {{may: boolean, isAdmin: boolean, back: string, said: (one: Anomaly) => void}} how */
  constructor(one, how) {
    this.one = one = { ...one }; // its own: what is new is told by comparing
    this.how = how;
    this.leaving = new AbortController();
    this.heading = h("h2", { id: "details-title", tabindex: "-1", class: "grow" }, kindName(one.kind)); // may have the focus: never drawn anew
    this.severity = h("span", { class: "chip" });
    this.facts = h("div", { class: "facts" });
    this.trail = h("div", { class: "trail" });
    this.samples = new Samples(this.leaving.signal);
    this.judge = judgeForm(one, how.may, this.leaving.signal, () => this.#said());
    this.el = h("article", { class: "details", "aria-labelledby": "details-title" },
      h("a", { class: "button quiet small back", href: how.back }, icon("left"), "All anomalies"),
      h("div", { class: "row" }, this.heading, this.severity), this.facts, this.judge.el, this.samples.el,
      how.isAdmin ? h("section", { class: "card" }, h("h3", null, "What was said of it"), this.trail) : null);
    this.#drawFacts();
    void this.#whole();
    void this.#history();
  }

  /** It was updated, or labelled elsewhere. @param {Anomaly} one */
  update(one) {
    const isNew = one.version > this.one.version;
    const isSaid = one.label?.at_ns !== this.one.label?.at_ns;
    Object.assign(this.one, one);
    if (isNew) this.#drawFacts();
    if (isNew) void this.#whole();
    this.judge.refresh();
    if (isSaid) void this.#history();
  }

  close() {
    this.leaving.abort();
    this.el.remove();
  }

  #said() {
    this.how.said(this.one);
    void this.#history();
  }

  async #whole() {
    await this.#quietly(async () => {
      const whole = await api.get(`/v1/anomalies/${this.one.id}`, { signal: this.leaving.signal });
      await this.samples.draw(whole);
    }, (text) => this.samples.failed(text));
  }

  async #history() {
    if (!this.how.isAdmin) return;
    await this.#quietly(() => history(this.one, this.trail, this.leaving.signal), (text) => say(this.trail, text));
  }

  /** A part that fails says so in its own place; the rest stands. @param {() => Promise<void>} part @param {(text: string) => void} failed */
  async #quietly(part, failed) {
    try {
      await part();
    } catch (problem) {
      if (!isAborted(problem)) failed(/** @type {Error} */ (problem).message);
    }
  }

  #drawFacts() {
    const { one } = this;
    const [severity, tone] = SEVERITIES[one.severity] ?? [one.severity, ""];
    const around = { from: String(Math.floor(start(one) - AROUND_MS)), to: String(Math.ceil(one.end_ns / 1e6 + AROUND_MS)) };
    const sensor = { motion: "acceleration", device: "" }[one.stream] ?? one.stream;
    say(this.severity, severity);
    this.severity.className = `chip ${tone}`;
    replace(this.facts,
      h("p", { class: "muted" }, kindMeaning(one.kind)),
      h("dl", { class: "terms" },
        term("Device", h("a", { href: address(`device/${one.device}`) }, one.device)),
        term("When", `${time(start(one))}, ${one.open ? "still open" : lasted(one)}`),
        term("Why", why(one)),
        term("Score", `${score(one.score)} (1 is where an alarm begins)`),
        term("Found in", `${streamName(one.stream)}, by the detector “${one.detector}”${one.live ? "" : "; afterwards, in a backlog"}`)),
      one.evidence.length ? evidence(one) : null,
      h("p", null, h("a", { class: "button small", href: address(`device/${one.device}`, { sensor, ...around }) }, "Show in the device's chart")));
  }
}

/** @param {Anomaly} one */
function evidence(one) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Evidence" }, h("table", { class: "evidence" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "num" }, "Seen"), h("th", { scope: "col", class: "num" }, "Usual here"))),
    h("tbody", null, one.evidence.map((said) => h("tr", null,
      h("td", null, said.feature),
      h("td", { class: "num" }, number(said.seen, said.unit)),
      h("td", { class: "num" }, `${number(said.usual_low)} to ${number(said.usual_high)} ${unit(said.unit)}`))))));
}

/** @param {string} name @param {any} text */
const term = (name, text) => h("div", null, h("dt", null, name), h("dd", null, text));
