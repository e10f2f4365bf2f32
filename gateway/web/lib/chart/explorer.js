// The live chart of one sensor: follows now, or looks at any stretch of history; at most one draw a frame.

import { h, replace, say } from "../dom.js";
import { KeyCursor } from "./cursor.js";
import { describe } from "./describe.js";
import { Feed } from "./feed.js";
import { cursorOf, gestures, keys } from "./gestures.js";
import { marksOf } from "./marks.js";
import { makePlot } from "./plot.js";
import { cut, firstAt } from "./rows.js";
import { tableOf } from "./table.js";
import { before, bounded, lasting, padded, spanOf, zoomed } from "./window.js";

/** @typedef {import("./plot.js").View} View @typedef {import("./legend.js").Field} Field @typedef {import("./marks.js").Mark} Mark
 * @typedef {{device: string, sensor: string, fields: Field[], first_ms: number | null, last_ms: number | null, follow_ms: number | null, view: View | null, signal: AbortSignal, moved: () => void, failed: (error: any) => void}} Options
 * `follow_ms`: how much of now to show; null: `view` is shown and stays. */

const TICK_MS = 500; // a device that sends nothing leaves the picture slowly
const STEP_MS = 5_000; // a clock that moved by more was set
const SAID_MS = 10_000;
const TABLE_MS = 5_000;

export class Explorer {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.signal = options.signal;
    this.follow_ms = options.follow_ms;
    this.view = options.view ?? { from: Date.now() - 60_000, to: Date.now() };
    /** @type {Mark[]} */
    this.marks = [];
    this.ahead_ms = 0; // the device's clock before ours
    this.saw = false; // a reading came live
    /** @type {{seq: number, t_last: number} | null} */
    this.fresh = null;
    this.frame = 0;
    this.said_at = -SAID_MS;
    this.table_at = 0;
    this.hasTable = false;
    /** @type {Awaited<ReturnType<typeof makePlot>> | null} */
    this.plot = null;
    this.host = h("div", { class: "chart-host" });
    this.strip = h("div", { class: "marks" });
    this.summary = h("p", { class: "sr", id: "chart-summary" });
    this.empty = h("p", { class: "chart-empty muted", hidden: true });
    this.busy = h("span", { class: "chart-busy", "aria-hidden": "true" });
    this.keys = h("div", { class: "legend-room" });
    this.cursor = new KeyCursor(options.fields, options.signal);
    this.table = h("div", { hidden: true });
    this.stage = h("div", { class: "stage", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": `${options.sensor} of ${options.device}`, "aria-describedby": "chart-summary chart-keys" },
      this.host, this.empty, this.busy);
    this.el = h("div", { class: "chart explorer" }, this.strip, this.stage, this.keys, this.summary, this.cursor.el, this.table);
    this.flags = marksOf(this.strip, (view) => this.go(padded(view)));
    this.feed = new Feed({ device: options.device, sensor: options.sensor, fields: options.fields.map((f) => f.name), signal: options.signal, changed: () => this.draw(), failed: options.failed });
  }

  async start() {
    const hands = { view: () => this.view, go: (/** @type {View} */ v) => this.go(v), home: () => this.home(), end: () => this.end(), live: () => this.follow(),
      step: (/** @type {number} */ way, share = 0) => this.step(way, share), off: () => this.cursor.hide(this.plot?.u) };
    const plot = await makePlot(this.host, { fields: this.options.fields, cursor: cursorOf(hands), selected: (view) => this.go(bounded(view)) });
    if (this.signal.aborted) return plot.destroy();
    this.plot = plot;
    this.signal.addEventListener("abort", () => this.close());
    replace(this.keys, plot.legend);
    this.host.querySelector(".uplot")?.setAttribute("role", "img");
    this.host.querySelector(".uplot")?.setAttribute("aria-labelledby", "chart-summary");
    gestures(plot.u.over, hands, this.signal);
    keys(this.stage, hands, this.signal);
    plot.u.over.addEventListener("pointermove", () => this.cursor.drop(), { signal: this.signal });
    document.addEventListener("visibilitychange", () => this.draw(), { signal: this.signal });
    const tick = setInterval(() => this.follow_ms !== null && this.draw(), TICK_MS);
    this.signal.addEventListener("abort", () => clearInterval(tick));
    this.feed.want(this.place(), this.width, { isLive: this.follow_ms !== null, wait_ms: 0 });
    this.draw();
  }

  get width() {
    return Math.max(50, this.plot?.u.over.clientWidth ?? this.host.clientWidth);
  }

  /** Rows that came live. @param {any} event */
  take(event) {
    if (!this.feed.take(event)) return;
    const t_last = event.t[event.t.length - 1];
    this.fresh = { seq: event.seq, t_last };
    const ahead = t_last - Date.now();
    // The quickest batch tells the clocks' difference best; one that came late says nothing.
    if (!this.saw || ahead > this.ahead_ms || ahead < this.ahead_ms - STEP_MS) this.ahead_ms = t_last >= (this.feed.newest ?? 0) ? ahead : this.ahead_ms;
    this.saw = true;
    this.draw();
  }

  /** The stream is here, or missed something. */
  began() {
    this.feed.begin();
    this.draw();
  }

  /** @param {Mark[]} marks */
  mark(marks) {
    this.marks = marks;
    this.draw();
  }

  /** Look at this, and stay there. @param {View} view */
  go(view) {
    this.follow_ms = null;
    this.view = before(bounded(view), Math.max(this.now(), this.feed.newest ?? 0, this.options.last_ms ?? 0));
    this.options.moved();
    this.draw();
  }

  /** Follow now. @param {number} [span_ms] */
  follow(span_ms = this.follow_ms ?? 30_000) {
    this.follow_ms = span_ms;
    this.options.moved();
    this.draw();
  }

  /** @param {number} span_ms */
  span(span_ms) {
    const newest = this.now();
    const view = this.follow_ms !== null || Math.abs(this.view.to - newest) < spanOf(this.view) * 0.1 ? { from: 0, to: newest } : { from: 0, to: Math.min(newest, (this.view.from + this.view.to + span_ms) / 2) };
    this.go(lasting(view, span_ms));
  }

  home() {
    const first = this.options.first_ms;
    if (first !== null) this.go({ from: first, to: first + spanOf(this.view) });
  }

  end() {
    const last = this.feed.newest ?? this.options.last_ms ?? this.now();
    this.go(lasting({ from: 0, to: Math.max(last, this.saw ? last : (this.options.last_ms ?? last)) }, spanOf(this.view)));
  }

  /** @param {number} factor */
  zoom(factor) {
    this.go(zoomed(this.view, factor));
  }

  /** The cursor by keys. @param {number} way @param {number} share */
  step(way, share) {
    this.cursor.step(this.feed.rows(this.view), this.view, way, share);
    this.draw();
  }

  /** Now, by the device's clock. */
  now() {
    return Date.now() + this.ahead_ms;
  }

  /** Where to look now. */
  place() {
    if (this.follow_ms !== null) this.view = lasting({ from: 0, to: this.now() }, this.follow_ms);
    return this.view;
  }

  draw() {
    if (this.frame || this.signal.aborted || !this.plot) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (!document.hidden) this.paint();
    });
  }

  paint() {
    const { plot, feed } = this;
    if (!plot || this.signal.aborted) return;
    const view = this.place();
    feed.want(view, this.width, { isLive: this.follow_ms !== null });
    const rows = feed.rows(view);
    plot.set(rows, view, this.marks);
    this.cursor.draw(plot.u, view);
    this.flags.draw(this.marks, view, plot.u.over.offsetLeft, this.width);
    this.say(view, rows);
    const { device, sensor } = this.options;
    if (this.fresh) document.dispatchEvent(new CustomEvent("sensorline:drawn", { detail: { device, sensor, ...this.fresh } }));
    this.fresh = null;
  }

  /** What is seen, in words, now and then. @param {View} view @param {import("./rows.js").Rows} rows */
  say(view, rows) {
    const { feed, summary, options } = this;
    this.busy.classList.toggle("on", feed.isLoading);
    const isEmpty = feed.loaded !== null && !feed.isLoading && firstAt(rows.t, view.from) === firstAt(rows.t, view.to);
    this.empty.hidden = !isEmpty;
    if (isEmpty) say(this.empty, this.follow_ms === null ? "No readings in this span. Zoom out, or go to the newest with End." : "Nothing comes just now. Press End to see the newest readings.");
    const now = performance.now();
    if (this.hasTable && now - this.table_at > TABLE_MS) this.fillTable();
    if (feed.loaded === null || now - this.said_at < SAID_MS) return;
    this.said_at = now;
    say(summary, describe(cut(rows, view.from, view.to), options.fields, view, this.marks, this.follow_ms !== null));
  }

  /** @param {boolean} shown */
  showTable(shown) {
    this.hasTable = shown;
    this.table.hidden = !shown;
    if (shown) this.fillTable();
  }

  fillTable() {
    this.table_at = performance.now();
    const { sensor, device, fields } = this.options;
    replace(this.table, tableOf(cut(this.feed.rows(this.view), this.view.from, this.view.to), fields, `${sensor} of ${device}`));
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.plot?.destroy();
    this.plot = null;
  }
}
