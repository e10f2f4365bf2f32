// The inbox's list: a line an anomaly, each a link; drawn again only where something changed.

import { h, replace } from "../../lib/dom.js";
import { time } from "../../lib/format.js";
import { SEVERITIES, STATES, kindName, lasted, score, start, state, why } from "./words.js";

/** @typedef {import("./words.js").Anomaly} Anomaly */

export class List {
  /** @param {(one: Anomaly) => string} href */
  constructor(href) {
    this.el = h("ul", { class: "found", "aria-label": "Anomalies, latest first" });
    this.href = href;
    /** @type {Map<string, {li: HTMLElement, drawn: string}>} */
    this.lines = new Map();
  }

  /** @param {Anomaly[]} all @param {string | undefined} chosen  id */
  draw(all, chosen) {
    const ids = new Set(all.map((one) => one.id));
    for (const [id, { li }] of this.lines) if (!ids.has(id)) (li.remove(), this.lines.delete(id));
    /** @type {Element | null} */
    let at = this.el.firstElementChild;
    for (const one of all) {
      const li = this.#line(one, one.id === chosen);
      if (li === at) at = at.nextElementSibling;
      else this.el.insertBefore(li, at); // what has the focus stays where it is
    }
  }

  /** @param {Anomaly} one @param {boolean} isChosen */
  #line(one, isChosen) {
    const drawn = [one.version, one.label?.at_ns, isChosen, this.href(one)].join();
    const known = this.lines.get(one.id);
    if (known?.drawn === drawn) return known.li;
    const li = known?.li ?? h("li", null, h("a", { class: "finding", data: { id: one.id } }));
    const a = /** @type {HTMLElement} */ (li.firstElementChild);
    a.setAttribute("href", this.href(one));
    if (isChosen) a.setAttribute("aria-current", "true");
    else a.removeAttribute("aria-current");
    a.dataset.state = state(one.label);
    replace(a, ...parts(one));
    this.lines.set(one.id, { li, drawn });
    return li;
  }

  /** The link of one, or the first. @param {string | undefined} id @returns {HTMLElement | null} */
  link(id) {
    return /** @type {HTMLElement | null} */ (this.lines.get(id ?? "")?.li.firstElementChild ?? null);
  }

  /** Move the focus by so many lines. @param {number} by @param {string | undefined} chosen */
  step(by, chosen) {
    const links = /** @type {HTMLElement[]} */ ([...this.el.querySelectorAll("a")]);
    const from = links.findIndex((a) => a === document.activeElement);
    const at = from >= 0 ? from : links.findIndex((a) => a.dataset.id === chosen);
    links[Math.min(Math.max(at < 0 ? 0 : at + by, 0), links.length - 1)]?.focus();
  }
}

/** @param {Anomaly} one */
function parts(one) {
  const [severity, tone] = SEVERITIES[one.severity] ?? [one.severity, ""];
  const [said, saidTone] = STATES[state(one.label)];
  return [
    h("span", { class: "finding-head" },
      h("strong", { class: "grow" }, kindName(one.kind)),
      h("span", { class: `chip ${tone}` }, severity),
      h("span", { class: `chip state ${saidTone}` }, said)),
    h("span", { class: "finding-why" }, why(one)),
    h("span", { class: "finding-foot muted small" },
      h("span", { class: "device" }, one.device), h("span", null, time(start(one))),
      h("span", { class: one.open ? "warn" : null }, lasted(one)), h("span", null, `score ${score(one.score)}`)),
  ];
}
