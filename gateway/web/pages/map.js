// The map: where every device is now, and where the chosen one was.

import { api, ApiError, isAborted } from "../lib/api.js";
import { h, replace, say, sheet, toast } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { open } from "../lib/live.js";
import { address, amend, within } from "../lib/within.js";
import { makeMap } from "./map/ground.js";
import { Markers } from "./map/markers.js";
import { fixOf } from "./map/places.js";
import { Roster } from "./map/roster.js";
import { SPANS, Track } from "./map/track.js";

export const title = "Map";

const TICK_MS = 5_000;
const FLUSH_MS = 200; // many devices' pulses are drawn together
const ZOOM_ONE = 17; // of a single device

/** @typedef {import("./map/places.js").Fix} Fix */

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await sheet("/assets/styles/map.css");
  const page = new MapPage(root, context);
  await page.start();
}

class MapPage {
  /** @param {HTMLElement} root @param {import("../app.js").Context} context */
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.signal = context.signal;
    this.chosen = /** @type {string | undefined} */ (context.query.get("device") ?? undefined);
    this.span = SPANS.find(([name]) => name === context.query.get("track")) ?? SPANS[0];
    this.isFollowing = false;
    /** Came live and not drawn yet. @type {Map<string, Fix>} */
    this.waiting = new Map();
    this.flushing = 0;
    this.isFitted = false;
    this.room = h("div", { class: "map-room", role: "region", "aria-label": "Map; the list of devices says the same in words" });
    this.told = h("p", { class: "muted small", role: "status" });
    this.roster = new Roster((device) => this.#choose(device));
    this.follow = h("button", { type: "button", class: "button small", "aria-pressed": "false", onclick: () => this.#setFollow(!this.isFollowing) }, "Follow");
    this.all = h("button", { type: "button", class: "button small", onclick: () => this.#fitAll() }, "Show all");
    this.spans = h("div", { class: "row", role: "group", "aria-label": "Length of the track" }, SPANS.map((span) =>
      h("button", { type: "button", class: "button small", "aria-pressed": String(span === this.span), data: { span: span[0] }, onclick: () => this.#setSpan(span) }, span[1])));
    this.controls = h("div", { class: "track-controls", hidden: !this.chosen }, this.spans, h("div", { class: "row" }, this.follow, h("button", { type: "button", class: "button small", onclick: () => this.#choose(undefined) }, "Hide the track")), this.told);
  }

  async start() {
    replace(this.root, h("div", { class: "page-head" }, h("h1", { class: "grow" }, "Map"), this.all),
      h("div", { class: "map-layout" }, this.room, h("aside", { class: "map-side", "aria-label": "Devices and track" }, this.controls, this.roster.el)));
    const map = await makeMap(this.room, this.context.web, this.signal);
    if (!map) return;
    this.map = map;
    this.markers = new Markers(map, (device) => this.#choose(device, false));
    this.track = new Track(map, this.signal);
    map.on("dragstart", () => this.#setFollow(false));
    within("map", ({ query }) => this.#choose(query.get("device") ?? undefined), this.signal);
    await this.#load();
    this.#live();
    const timer = setInterval(() => (this.roster.tick(), this.markers?.tick()), TICK_MS);
    this.signal.addEventListener("abort", () => (clearInterval(timer), clearTimeout(this.flushing)));
    if (this.chosen) this.#choose(this.chosen);
  }

  /** Where everybody was last. */
  async #load() {
    const [{ devices }, { latest }] = await Promise.all([
      api.get("/v1/devices", { signal: this.signal }),
      api.get("/v1/latest", { params: { sensor: "location" }, signal: this.signal }),
    ]);
    this.roster.offer(devices.map((/** @type {any} */ d) => d.device));
    for (const { device, t, values } of latest) this.#put(device, fixOf(t / 1e6, values));
    if (!devices.length) this.roster.instead(h("div", { class: "empty" }, h("h2", null, "No devices yet"), h("p", null, "A device with a position comes up here by itself."), h("a", { class: "button primary", href: "#/devices" }, "Set a device up")));
    if (!this.chosen && !this.isFitted) this.#fitAll();
  }

  #live() {
    let isFirst = true;
    const missed = async () => {
      try {
        await this.#load();
        if (this.chosen) await this.#drawTrack();
      } catch (error) {
        if (!isAborted(error)) toast(`The positions could not be loaded: ${/** @type {Error} */ (error).message}`, "bad");
      }
    };
    open({ kinds: ["pulse", "anomaly"] }, {
      state: (state) => this.context.link(state),
      pulse: (pulse) => pulse.location && this.#came(pulse.device, fixOf(pulse.location.t, pulse.location)),
      anomaly: (one) => this.track?.find(one),
      hello: () => (isFirst = false),
      lost: () => void missed(),
      reset: () => void (isFirst || missed()),
    }, this.signal);
  }

  /** @param {string} device @param {Fix | null} fix */
  #came(device, fix) {
    if (!fix) return;
    this.track?.append(device, fix);
    this.waiting.set(device, fix);
    this.flushing ||= window.setTimeout(() => {
      this.flushing = 0;
      for (const [name, one] of this.waiting) this.#put(name, one);
      this.waiting.clear();
      if (!this.isFitted && !this.chosen) this.#fitAll(); // the first positions of all
    }, FLUSH_MS);
  }

  /** @param {string} device @param {Fix | null} fix */
  #put(device, fix) {
    if (!fix) return;
    this.roster.put(device, fix);
    const isNew = this.markers?.put(device, fix);
    if (isNew && device === this.chosen) this.markers?.mark(device);
    if (this.isFollowing && device === this.chosen) this.map.panTo([fix.latitude, fix.longitude], { animate: false });
  }

  /** @param {string | undefined} device @param {boolean} [moves]  false: it was clicked on the map and is in sight */
  #choose(device, moves = true) {
    this.chosen = device;
    amend(address("map", { device, track: this.span === SPANS[0] ? null : this.span[0] }));
    this.roster.mark(device);
    this.markers?.mark(device);
    this.controls.hidden = !device;
    if (!device) {
      this.track?.clear();
      this.#setFollow(false);
      this.map.closePopup();
      return;
    }
    const found = this.markers?.all.get(device);
    if (found && moves) {
      this.map.setView(found.marker.getLatLng(), Math.max(this.map.getZoom(), ZOOM_ONE), { animate: false });
      this.isFitted = true;
      found.marker.openPopup();
    }
    void this.#drawTrack();
  }

  async #drawTrack() {
    const device = this.chosen;
    if (!device) return;
    say(this.told, "Loading the track …");
    try {
      const n = await this.track?.load(device, this.span[2]);
      if (n === null || this.chosen !== device) return;
      say(this.told, n ? `Track of ${device}: ${plural(n ?? 0, "position")} in the last ${this.span[1]}.` : `${device} said no position in the last ${this.span[1]}. A longer track may show where it was.`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      say(this.told, error.status === 404 ? `There is no device ${device}.` : `The track could not be loaded: ${error.message}`);
    }
  }

  /** @param {typeof SPANS[number]} span */
  #setSpan(span) {
    this.span = span;
    for (const el of this.spans.children) el.setAttribute("aria-pressed", String(el.dataset.span === span[0]));
    amend(address("map", { device: this.chosen, track: span[0] }));
    void this.#drawTrack();
  }

  /** @param {boolean} on */
  #setFollow(on) {
    this.isFollowing = on;
    this.follow.setAttribute("aria-pressed", String(on));
    const found = on && this.chosen ? this.markers?.all.get(this.chosen) : null;
    if (found) this.map.panTo(found.marker.getLatLng());
  }

  #fitAll() {
    const bounds = this.markers?.bounds();
    if (!bounds) return;
    this.isFitted = true;
    this.#setFollow(false);
    this.map.fitBounds(bounds.pad(0.15), { maxZoom: ZOOM_ONE - 1, animate: false });
  }
}
