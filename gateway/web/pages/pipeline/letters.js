// Dead letters: what could not be stored, why, and the way back.

import { api, ApiError, isAborted } from "../../lib/api.js";
import { confirmed, h, replace, say } from "../../lib/dom.js";
import { plural, time } from "../../lib/format.js";
import { outcome, REASONS } from "./words.js";

const LIMIT = 200;
const IDS_MAX = 1_000;

/** @typedef {{id: string, reason: string, detail: string, topic: string, partition: number, offset: number, key: string, session: string | null, seq: number | null, at_ns: number, replayed: boolean}} Letter */

export class Letters {
  /** @param {import("../../app.js").Context} context */
  constructor({ can, signal }) {
    this.signal = signal;
    this.may = can("operator");
    this.again = () => {};
    /** @type {Letter[]} */
    this.all = [];
    this.drawn = "";
    /** @type {Set<string>} */
    this.chosen = new Set();
    this.told = h("p", { role: "status", class: "small" });
    this.error = h("p", { role: "alert", class: "bad small" });
    const described = this.may ? null : "why-no-replay";
    this.some = h("button", { type: "button", class: "button small", disabled: true, "aria-describedby": described, onclick: () => this.#replay([...this.chosen]) }, "Replay the chosen");
    this.every = h("button", { type: "button", class: "button small", disabled: true, "aria-describedby": described, onclick: () => this.#replay(null) }, "Replay all");
    this.body = h("div", { class: "letters-room" }, h("p", { class: "muted" }, "Loading …"));
    this.el = h("section", { class: "card letters", "aria-label": "Dead letters" },
      h("div", { class: "row" }, h("h2", { class: "grow" }, "Dead letters"), this.some, this.every),
      h("p", { class: "muted small" }, "Records that were accepted and cannot be stored as they are. They are kept whole; a replay sends the original through once more, and nothing is stored twice."),
      this.may ? null : h("p", { class: "small muted", id: "why-no-replay" }, "You may look but not replay: that needs the role operator."),
      this.told, this.error, this.body);
  }

  async load() {
    try {
      const { deadletters } = await api.get("/v1/deadletters", { params: { limit: LIMIT }, signal: this.signal });
      this.all = deadletters;
      say(this.error, "");
      this.#draw();
    } catch (error) {
      if (isAborted(error)) return;
      if (!(error instanceof ApiError)) throw error;
      say(this.error, `The dead letters could not be loaded: ${error.message}`);
    }
  }

  #draw() {
    const waiting = this.all.filter((one) => !one.replayed);
    for (const id of this.chosen) if (!waiting.some((one) => one.id === id)) this.chosen.delete(id);
    this.#enable(waiting.length);
    const now = JSON.stringify(this.all);
    if (now === this.drawn) return; // what has the focus stays
    this.drawn = now;
    if (!this.all.length) return replace(this.body, h("div", { class: "empty" }, h("h2", null, "None"), h("p", null, "Everything that was accepted could be stored.")));
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.focus;
    replace(this.body, h("table", { class: "letters-table" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { class: "sr" }, "Chosen")), ["Why", "Device", "When", "Where", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "sr" }, "Replay"))))),
      h("tbody", null, this.all.map((one) => this.#row(one)))),
      this.all.length >= LIMIT ? h("p", { class: "muted small" }, `The last ${LIMIT}. “Replay all” takes the older ones too.`) : null);
    if (focused) /** @type {HTMLElement | null} */ (this.body.querySelector(`[data-focus="${focused}"]`))?.focus();
  }

  /** @param {Letter} one */
  #row(one) {
    const [why, hint] = REASONS[one.reason] ?? [one.reason, ""];
    const place = `${one.topic}, partition ${one.partition}, offset ${one.offset}`;
    return h("tr", { class: one.replayed ? "replayed" : null },
      h("td", null, one.replayed ? null : h("input", { type: "checkbox", "aria-label": `Choose ${one.id}`, data: { focus: `c-${one.id}` }, checked: this.chosen.has(one.id), disabled: !this.may, onchange: (/** @type {any} */ e) => this.#choose(one.id, e.target.checked) })),
      h("td", { data: { label: "Why" } }, h("div", null, h("strong", null, why), one.replayed ? null : h("p", { class: "small muted" }, hint), h("details", { class: "small" }, h("summary", null, "Detail"), h("p", { class: "detail mono" }, one.detail || "nothing more was said")))),
      h("td", { data: { label: "Device" } }, one.key),
      h("td", { data: { label: "When" }, class: "nowrap" }, time(one.at_ns / 1e6)),
      h("td", { data: { label: "Where" }, class: "small" }, h("div", null, place, one.session ? h("p", { class: "muted" }, `session ${one.session}${one.seq === null ? "" : `, number ${one.seq}`}`) : null)),
      h("td", null, one.replayed ? h("span", { class: "chip good" }, "Replayed") : h("button", { type: "button", class: "button small", data: { focus: `r-${one.id}` }, disabled: !this.may, "aria-label": `Replay ${one.id}`, onclick: () => this.#replay([one.id]) }, "Replay")));
  }

  /** @param {string} id @param {boolean} on */
  #choose(id, on) {
    if (on && this.chosen.size < IDS_MAX) this.chosen.add(id);
    else this.chosen.delete(id);
    this.#enable(this.all.filter((one) => !one.replayed).length);
  }

  /** @param {number} waiting */
  #enable(waiting) {
    this.some.disabled = !this.may || !this.chosen.size;
    say(this.some, this.chosen.size ? `Replay the chosen (${this.chosen.size})` : "Replay the chosen");
    this.every.disabled = !this.may || !waiting;
  }

  /** @param {string[] | null} ids  null: all */
  async #replay(ids) {
    const what = ids === null ? "all dead letters that were not replayed" : plural(ids.length, "dead letter");
    if (!(await confirmed({ title: "Replay?", text: `${what[0].toUpperCase()}${what.slice(1)}: the originals go through the pipeline once more. What is stored already is not stored twice; what cannot be stored comes back here.`, yes: "Replay" }))) return;
    say(this.error, "");
    say(this.told, "Replaying …");
    try {
      say(this.told, outcome(await api.post("/v1/deadletters/replay", { body: ids === null ? { all: true } : { ids }, signal: this.signal })));
      this.chosen.clear();
      this.again();
    } catch (error) {
      if (isAborted(error)) return;
      if (!(error instanceof ApiError)) throw error;
      say(this.told, "");
      say(this.error, `Nothing more was replayed: ${error.message}`);
    }
  }
}
