// The readings around an anomaly, drawn with its span marked.

import { h, replace, say } from "../../lib/dom.js";
import { plural } from "../../lib/format.js";

export class Samples {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.told = h("p", { class: "muted small", role: "status" }, "Loading the readings around it …");
    this.room = h("div", { class: "samples-room" });
    this.el = h("section", { class: "samples card", "aria-label": "Readings around it" }, h("h3", null, "Readings around it"), this.room, this.told);
  }

  async draw(/** @type {any} */ whole) {
    say(this.told, plural(whole.samples.columns.t.length, "reading"));
    replace(this.room);
  }

  /** @param {string} text */
  failed(text) {
    say(this.told, `The readings could not be loaded: ${text}`);
  }
}
