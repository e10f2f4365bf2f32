// Completeness: what came of every session, and what did not.

import { api, ApiError, isAborted } from "../lib/api.js";
import { h, replace, say, sheet } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { address, amend, within } from "../lib/within.js";
import { card, help } from "./completeness/card.js";
import { trouble } from "./completeness/words.js";

export const title = "Completeness";

const AGAIN_MS = 10_000;
const PAGE = 60; // cards

/** @typedef {import("./completeness/words.js").Session} Session */

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await sheet("/assets/styles/completeness.css");
  const page = new Completeness(root, context);
  await page.start();
}

class Completeness {
  /** @param {HTMLElement} root @param {import("../app.js").Context} context */
  constructor(root, { query, signal }) {
    this.root = root;
    this.signal = signal;
    this.device = query.get("device") ?? "";
    this.sort = query.get("sort") === "time" ? "time" : "trouble";
    this.shown = PAGE;
    /** @type {Session[]} */
    this.sessions = [];
    /** @type {Map<string, {el: HTMLElement, drawn: string}>} */
    this.cards = new Map();
    /** Session -> its place in the list. @type {Map<string, number>} */
    this.places = new Map();
    this.list = h("ul", { class: "sessions", "aria-label": "Sessions" });
    this.nothing = h("div", null, h("div", { class: "sessions", "aria-hidden": "true" }, Array.from({ length: 4 }, () => h("div", { class: "card session skeleton" }, "…"))));
    this.told = h("p", { class: "muted small grow", role: "status" }, "Loading …");
    this.more = h("button", { type: "button", class: "button", hidden: true, onclick: () => ((this.shown += PAGE), this.#draw()) }, "Show more");
    this.devices = h("select", { id: "c-device", onchange: () => this.#wish(this.devices.value, this.sort) }, h("option", { value: "" }, "All devices"), this.device ? h("option", { value: this.device, selected: true }, this.device) : null);
    this.sorts = h("select", { id: "c-sort", onchange: () => this.#wish(this.device, this.sorts.value) }, h("option", { value: "trouble", selected: this.sort === "trouble" }, "Most trouble first"), h("option", { value: "time", selected: this.sort === "time" }, "Latest first"));
  }

  async start() {
    replace(this.root, h("div", { class: "page-head" }, h("h1", null, "Completeness")),
      h("p", { class: "muted" }, "Every batch has a number within its session, so the station knows what it never got."),
      help(),
      h("div", { class: "row bar" }, h("div", { class: "field" }, h("label", { for: "c-device" }, "Device"), this.devices), h("div", { class: "field" }, h("label", { for: "c-sort" }, "Order"), this.sorts), this.told),
      this.nothing, this.list, this.more);
    within("completeness", ({ query }) => this.#wish(query.get("device") ?? "", query.get("sort") ?? "trouble"), this.signal);
    await new Promise((done) => {
      this.again = poll(async () => (await this.#load(), done(undefined)), AGAIN_MS, this.signal);
    });
  }

  /** @param {string} device @param {string} sort */
  #wish(device, sort) {
    const isOther = device !== this.device;
    [this.device, this.sort, this.shown] = [device, sort === "time" ? "time" : "trouble", PAGE];
    [this.devices.value, this.sorts.value] = [this.device, this.sort];
    this.places.clear();
    amend(address("completeness", { device, sort: this.sort === "time" ? "time" : null }));
    if (isOther) this.again?.();
    else this.#draw();
  }

  async #load() {
    const { device } = this;
    try {
      const { sessions } = await api.get("/v1/completeness", { params: { device: device || null }, signal: this.signal });
      if (device !== this.device) return; // another was chosen meanwhile, and is asked for next
      this.sessions = sessions;
      if (!device) this.#offer([...new Set(/** @type {string[]} */ (sessions.map((/** @type {Session} */ s) => s.device)))].sort());
      this.#draw();
    } catch (error) {
      if (isAborted(error)) return;
      if (!(error instanceof ApiError)) throw error;
      say(this.told, "");
      replace(this.nothing, h("div", { class: "notice bad", role: "alert" }, h("p", null, error.message), h("p", { class: "small" }, "It is asked again every ten seconds.")));
    }
  }

  /** @param {string[]} devices */
  #offer(devices) {
    if (this.devices.options.length === devices.length + 1) return;
    replace(this.devices, h("option", { value: "" }, "All devices"), devices.map((name) => h("option", { value: name }, name)));
    this.devices.value = this.device;
  }

  #draw() {
    const sorted = this.#ordered();
    const shown = sorted.slice(0, this.shown);
    const keys = new Set(shown.map(key));
    for (const [known, { el }] of this.cards) if (!keys.has(known)) (el.remove(), this.cards.delete(known));
    shown.forEach((one, k) => {
      const el = this.#card(one);
      if (this.list.children[k] !== el) this.list.insertBefore(el, this.list.children[k] ?? null);
    });
    this.more.hidden = sorted.length <= this.shown;
    const bad = sorted.filter((one) => trouble(one) > 0).length;
    say(this.told, sorted.length ? `${plural(sorted.length, "session")}, ${bad ? `${bad} with something missing, dropped, refused, or a wrong clock` : "all of them complete"}` : "");
    if (sorted.length) replace(this.nothing);
    else replace(this.nothing, h("div", { class: "empty" }, h("h2", null, this.device ? `Nothing came of ${this.device} yet` : "No sessions yet"), h("p", null, "A session begins when a device starts to send."), h("a", { class: "button primary", href: "#/devices" }, "Set a device up")));
  }

  /** By what was wished when it was wished: sessions that still grow would change places under one's eyes.  New ones come first. */
  #ordered() {
    const by = (/** @type {Session} */ a, /** @type {Session} */ b) => (this.sort === "time" ? 0 : trouble(b) - trouble(a)) || b.last_received_ns - a.last_received_ns;
    const sorted = [...this.sessions].sort(by);
    const place = (/** @type {Session} */ one) => this.places.get(key(one)) ?? -1;
    if (this.places.size) sorted.sort((a, b) => place(a) - place(b));
    this.places = new Map(sorted.map((one, k) => [key(one), k]));
    return sorted;
  }

  /** @param {Session} one */
  #card(one) {
    const drawn = JSON.stringify(one);
    const known = this.cards.get(key(one));
    if (known?.drawn === drawn) return known.el;
    const el = known?.el ?? h("li", { class: "card session" });
    const isOpen = el.querySelector("details")?.open ?? false;
    replace(el, card(one, isOpen));
    this.cards.set(key(one), { el, drawn });
    return el;
  }
}

/** @param {Session} one */
const key = ({ device, session }) => `${device}\n${session}`;
