// The anomalies that are held: pages of the station's list, and what came live on top of them.

import { api } from "../../lib/api.js";
import { isJudged, matches, params } from "./filters.js";

/** @typedef {import("./words.js").Anomaly} Anomaly */

const PAGE = 50;
const ASKED_MAX = 10; // pages in a row, when few of them are judged as was asked
const WAITING_MAX = 500; // came live and not looked at: beyond it the list is read again

export class Findings {
  /** @param {import("./filters.js").Wanted} wanted @param {AbortSignal} signal */
  constructor(wanted, signal) {
    this.wanted = wanted;
    this.signal = signal;
    /** Latest start first. @type {Anomaly[]} */
    this.shown = [];
    /** Came live, not in the list yet. @type {Map<string, Anomaly>} */
    this.waiting = new Map();
    /** @type {string | null} */
    this.next = null;
    this.isFull = false; // more came live than is held
    this.isLoading = false;
  }

  /** The first page, in place of all that is held. */
  async load() {
    this.next = null;
    this.isLoading = true;
    const page = await this.#page().finally(() => (this.isLoading = false));
    const live = [...this.waiting.values()]; // the store is a moment behind: its page may lack them
    this.shown = page;
    this.waiting.clear();
    this.isFull = false;
    for (const one of live) this.take(one);
    if (!page.length) await this.show();
  }

  /** The next page, behind those that are shown. */
  async more() {
    const page = await this.#page();
    this.shown = sorted([...this.shown, ...page.filter((one) => !this.#at(one.id))]);
  }

  /** What was missed while the stream was away: newer ones wait, known ones are brought up to date. */
  async missed() {
    const { anomalies } = await api.get("/v1/anomalies", { params: { ...params(this.wanted), limit: PAGE }, signal: this.signal });
    return anomalies.map((/** @type {Anomaly} */ one) => this.take(one));
  }

  /** One came live. @param {Anomaly} one @returns {"changed" | "waiting" | "none"} */
  take(one) {
    const known = this.#at(one.id);
    if (known && known.version > one.version) return "none";
    if (known) {
      Object.assign(known, one);
      return "changed";
    }
    if (!matches(this.wanted, one) || this.#isBehind(one)) return "none";
    if (this.waiting.size >= WAITING_MAX) this.isFull = true;
    else this.waiting.set(one.id, one);
    return "waiting";
  }

  /** Those that wait join the list. */
  async show() {
    if (this.isFull) return this.load();
    this.shown = sorted([...this.shown, ...this.waiting.values()]);
    this.waiting.clear();
  }

  /** What an operator said of it. @param {string} id @param {import("./words.js").Label} label */
  label(id, label) {
    const known = this.#at(id);
    if (known) known.label = label;
  }

  /** @param {string} id */
  #at(id) {
    return this.shown.find((one) => one.id === id) ?? this.waiting.get(id);
  }

  /** Beyond the last page that was read: it comes with its page. @param {Anomaly} one */
  #isBehind(one) {
    const last = this.shown.at(-1);
    return this.next !== null && last !== undefined && one.start_ns < last.start_ns;
  }

  async #page() {
    /** @type {Anomaly[]} */
    const found = [];
    for (let asked = 0; asked < ASKED_MAX; asked += 1) {
      const answer = await api.get("/v1/anomalies", { params: { ...params(this.wanted), limit: PAGE, after: this.next }, signal: this.signal });
      found.push(...answer.anomalies.filter((/** @type {Anomaly} */ one) => isJudged(this.wanted, one)));
      this.next = answer.next;
      if (this.next === null || found.length >= PAGE / 2) break;
    }
    return found;
  }
}

/** @param {Anomaly[]} all */
const sorted = (all) => all.sort((a, b) => b.start_ns - a.start_ns || (a.id < b.id ? 1 : -1));
