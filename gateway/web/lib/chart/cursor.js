// The chart's cursor by keys: it stays on its reading while live rows go by, and says what is there once it rests.

import { h, say } from "../dom.js";
import { readout } from "./describe.js";
import { firstAt, SAME_MS } from "./rows.js";

/** @typedef {import("./rows.js").Rows} Rows @typedef {import("./plot.js").View} View @typedef {import("./legend.js").Field} Field */

const REST_MS = 250; // a key that is held down is read out once

export class KeyCursor {
  /** @param {Field[]} fields @param {AbortSignal} signal */
  constructor(fields, signal) {
    this.fields = fields;
    /** @type {number | null} */
    this.t = null; // ms, of the reading it is on
    this.timer = 0;
    this.el = h("p", { class: "sr cursor-said", role: "status" });
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  /** To the next reading that way (-1, 1) and at least `share` of the view further; the first time, to the end one comes from.
   * @param {Rows} rows @param {View} view @param {number} way @param {number} [share] */
  step(rows, view, way, share = 0) {
    const at = this.places(rows, view);
    if (!at.length) return;
    const t = at.map((k) => rows.t[k]);
    let next = way < 0 ? at.length - 1 : 0;
    if (this.t !== null) {
      const far = this.t + way * share * (view.to - view.from);
      // From `far` on, and never the reading one is on.
      next = way < 0 ? Math.min(firstAt(t, this.t - SAME_MS) - 1, firstAt(t, far)) : Math.max(firstAt(t, this.t + SAME_MS), firstAt(t, far));
      next = Math.max(0, Math.min(t.length - 1, next));
    }
    this.t = t[next];
    const text = readout(rows, at[next], this.fields);
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => say(this.el, text), REST_MS);
  }

  /** Rows in view that have something to say. @param {Rows} rows @param {View} view */
  places({ t, mid }, view) {
    const found = [];
    for (let k = firstAt(t, view.from); k < t.length && t[k] <= view.to; k++)
      if (this.fields.some((field, f) => field.shown && mid[f][k] !== null && mid[f][k] !== undefined)) found.push(k);
    return found;
  }

  /** Put it where it belongs now; out of sight it is gone. @param {any} u  the plot @param {View} view */
  draw(u, view) {
    if (this.t === null) return;
    if (this.t < view.from || this.t > view.to) return this.hide(u);
    u.setCursor({ left: u.valToPos(this.t, "x"), top: 0 });
  }

  /** @param {any} u */
  hide(u) {
    if (this.t === null) return;
    this.drop();
    u.setCursor({ left: -10, top: -10 });
  }

  /** Somebody took the mouse. */
  drop() {
    this.t = null;
    clearTimeout(this.timer);
    say(this.el, "");
  }
}
