// The inbox: what detection found, latest first, and what people say of it.

import { api, ApiError, isAborted } from "../lib/api.js";
import { h, replace, say, sheet, toast } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { open } from "../lib/live.js";
import { address, amend, within } from "../lib/within.js";
import { Details } from "./anomalies/details.js";
import { countOf, filterForm, offerDevices, wantedOf } from "./anomalies/filters.js";
import { Findings } from "./anomalies/findings.js";
import { put } from "./anomalies/judge.js";
import { keys } from "./anomalies/keys.js";
import { List } from "./anomalies/list.js";

export const title = "Anomalies";

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await sheet("/assets/styles/anomalies.css");
  const inbox = new Inbox(root, context);
  await inbox.start();
}

class Inbox {
  /** @param {HTMLElement} root @param {import("../app.js").Context} context */
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.signal = context.signal;
    this.wanted = wantedOf(context.query);
    this.chosen = /** @type {string | undefined} */ (context.params[0] || undefined);
    /** @type {Details | null} */
    this.details = null;
    this.asking = new AbortController(); // ends with the filters it was asked for
    this.findings = new Findings(this.wanted, this.asking.signal);
    this.list = new List((one) => address(`anomalies/${one.id}`, this.wanted));
    this.fresh = h("button", { class: "button small primary fresh", hidden: true, onclick: () => this.#showWaiting() });
    this.told = h("p", { class: "muted small grow", role: "status" }, "Loading …");
    this.more = h("button", { class: "button", hidden: true, onclick: () => this.#more() }, "Older ones");
    this.nothing = h("div", null);
    this.beside = h("div", { class: "beside" });
    this.form = filterForm(this.wanted, [], (wanted) => this.#filter(wanted));
    this.fold = h("summary", { class: "button" }, "Filter");
  }

  async start() {
    const { root, signal } = this;
    const wide = matchMedia("(min-width: 761px)");
    const folded = h("details", { class: "fold", open: wide.matches }, this.fold, this.form);
    wide.addEventListener("change", () => (folded.open = wide.matches), { signal });
    this.layout = h("div", { class: "inbox" },
      folded,
      h("section", { class: "listed", "aria-label": "List" },
        h("div", { class: "row bar" }, this.told, this.fresh), this.list.el, this.nothing, this.more), this.beside);
    replace(root, h("div", { class: "page-head" }, h("h1", null, "Anomalies")), this.layout);
    replace(this.nothing, skeletons());
    keys(root, this.#acts(), signal);
    within("anomalies", (at) => this.#moved(at), signal);
    signal.addEventListener("abort", () => this.#closed());
    this.#follow();
    this.#drawDetails(false);
    void this.#devices();
    await this.#load();
  }

  async #devices() {
    try {
      const { devices } = await api.get("/v1/devices", { signal: this.signal });
      offerDevices(this.form, devices.map((/** @type {any} */ d) => d.device));
    } catch (error) {
      if (!isAborted(error)) toast("The list of devices could not be loaded; the filter offers none.", "bad");
    }
  }

  async #load() {
    this.asking.abort();
    this.asking = new AbortController();
    this.findings = new Findings(this.wanted, this.asking.signal);
    this.root.setAttribute("aria-busy", "true");
    await this.#asked(() => this.findings.load());
    this.root.removeAttribute("aria-busy");
  }

  async #more() {
    this.more.disabled = true;
    await this.#asked(() => this.findings.more());
    this.more.disabled = false;
  }

  async #showWaiting() {
    await this.#asked(() => this.findings.show());
    this.list.link(this.findings.shown[0]?.id)?.focus();
  }

  /** Do it, and show what came of it. @param {() => Promise<void>} ask */
  async #asked(ask) {
    try {
      await ask();
      this.#draw();
    } catch (error) {
      if (isAborted(error) || this.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      say(this.told, "");
      replace(this.nothing, h("div", { class: "notice bad", role: "alert" }, h("p", null, error.message), h("button", { class: "button", onclick: () => this.#load() }, "Try again")));
    }
  }

  #draw() {
    const { shown, waiting, next, isFull } = this.findings;
    this.list.draw(shown, this.chosen);
    this.list.el.hidden = shown.length === 0;
    this.layout?.classList.toggle("is-empty", shown.length === 0);
    say(this.told, shown.length ? `${plural(shown.length, "anomaly", "anomalies")}${next ? ", and older ones" : ""}` : "");
    const fresh = `${waiting.size}${isFull ? "+" : ""} new`;
    say(this.fresh, fresh);
    this.fresh.hidden = waiting.size === 0;
    this.more.hidden = next === null;
    const filters = countOf(this.wanted);
    say(this.fold, filters ? `Filter (${filters})` : "Filter");
    /** @type {HTMLElement} */ (this.form.querySelector(".clear")).hidden = filters === 0;
    if (shown.length) replace(this.nothing);
    else replace(this.nothing, empty(filters > 0, next !== null));
    this.layout?.classList.toggle("has-choice", Boolean(this.chosen));
  }

  #follow() {
    let isFirst = true;
    const missed = () => this.#asked(async () => void (await this.findings.missed()));
    open({ kinds: ["anomaly"] }, {
      state: (state) => this.context.link(state),
      anomaly: (one) => this.#came(one),
      hello: () => (isFirst = false),
      lost: () => void missed(),
      reset: () => void (isFirst || missed()),
    }, this.signal);
  }

  /** @param {import("./anomalies/words.js").Anomaly} one */
  #came(one) {
    const { findings } = this;
    const took = findings.take(one);
    if (took === "waiting" && !findings.shown.length && !findings.isLoading) void findings.show().then(() => this.#draw());
    else if (took !== "none" && !findings.isLoading) this.#draw();
    if (one.id === this.details?.one.id && one.version >= this.details.one.version) this.details.update(one);
  }

  /** @param {import("./anomalies/filters.js").Wanted} wanted */
  #filter(wanted) {
    this.wanted = wanted;
    amend(this.#here());
    if (this.details) /** @type {HTMLAnchorElement} */ (this.details.el.querySelector(".back")).href = address("anomalies", wanted);
    void this.#load();
  }

  #here() {
    return address(this.chosen ? `anomalies/${this.chosen}` : "anomalies", this.wanted);
  }

  /** A link or Back. @param {{params: string[], query: URLSearchParams}} at */
  #moved({ params, query }) {
    const before = this.chosen;
    this.chosen = params[0] || undefined;
    const wanted = wantedOf(query);
    const isOther = JSON.stringify(wanted) !== JSON.stringify(this.wanted);
    this.wanted = wanted;
    if (isOther) this.form.replaceWith((this.form = filterForm(wanted, [], (now) => this.#filter(now))));
    if (isOther) void this.#devices();
    if (isOther) void this.#load();
    else this.#draw();
    this.#drawDetails(true);
    if (!this.chosen && before) this.list.link(before)?.focus();
  }

  /** @param {boolean} takesFocus */
  async #drawDetails(takesFocus) {
    const id = this.chosen;
    this.layout?.classList.toggle("has-choice", Boolean(id));
    if (this.details && id === this.details.one.id) return;
    this.#closed();
    if (!id) return replace(this.beside, h("div", { class: "empty hint-choose" }, h("p", null, "Choose an anomaly to see what was measured and to judge it.")));
    const one = this.findings.shown.find((known) => known.id === id) ?? (await this.#one(id));
    if (!one || this.chosen !== id || this.signal.aborted) return;
    this.details = new Details(one, {
      may: this.context.can("operator"), isAdmin: this.context.can("admin"), back: address("anomalies", this.wanted), said: (said) => this.#labelled(said),
    });
    replace(this.beside, this.details.el);
    if (takesFocus) /** @type {HTMLElement | null} */ (this.beside.querySelector("#details-title"))?.focus({ preventScroll: matchMedia("(min-width: 1001px)").matches });
  }

  /** @param {string} id */
  async #one(id) {
    try {
      return await api.get(`/v1/anomalies/${encodeURIComponent(id)}`, { signal: this.signal });
    } catch (error) {
      if (isAborted(error) || this.chosen !== id) return null;
      const text = error instanceof ApiError && [404, 422].includes(error.status) ? "There is no such anomaly: it is older than what is kept, or its device was deleted." : /** @type {Error} */ (error).message;
      replace(this.beside, h("div", { class: "notice bad", role: "alert" }, h("p", null, text), h("a", { class: "button", href: address("anomalies", this.wanted) }, "All anomalies")));
      return null;
    }
  }

  /** @param {import("./anomalies/words.js").Anomaly} one */
  #labelled(one) {
    if (one.label) this.findings.label(one.id, one.label);
    this.#draw();
  }

  #acts() {
    return {
      step: (/** @type {number} */ by) => this.list.step(by, this.chosen),
      /** @param {string} saying @param {string | undefined} id */
      say: async (saying, id) => {
        const one = this.details && (!id || this.details.one.id === id) ? this.details.one : this.findings.shown.find((known) => known.id === id);
        if (!one) return;
        if (!this.context.can("operator")) return toast("You may look but not judge: that needs the role operator.", "bad");
        try {
          const now = { ...one, label: await put(one, saying, this.signal) };
          this.#labelled(now);
          if (this.details?.one.id === one.id) this.details.update(now);
        } catch (error) {
          if (!isAborted(error)) toast(`Not saved: ${/** @type {Error} */ (error).message}`, "bad");
        }
      },
      close: () => { if (this.chosen) location.hash = address("anomalies", this.wanted); },
    };
  }

  #closed() {
    this.details?.close();
    this.details = null;
    if (this.signal.aborted) this.asking.abort();
  }
}

const skeletons = () => h("div", { class: "waits", "aria-hidden": "true" }, Array.from({ length: 6 }, () => h("div", { class: "finding skeleton" }, "…")));

/** @param {boolean} isFiltered @param {boolean} hasNext */
function empty(isFiltered, hasNext) {
  if (isFiltered) return h("div", { class: "empty" }, h("h2", null, "None of these"), h("p", null, hasNext ? "Nothing yet that fits the filter; look further back with “Older ones”." : "Nothing fits the filter. Clear it to see all."));
  return h("div", { class: "empty" }, h("h2", null, "Nothing found yet"), h("p", null, "Detection learns what is usual for each device first; what departs from it comes up here by itself."),
    h("a", { class: "button", href: "#/" }, "See what the devices send"));
}
