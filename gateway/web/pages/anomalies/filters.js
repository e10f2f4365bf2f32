// Which anomalies are wanted: kept in the address, asked of the station, and held against what comes live.

import { h, replace } from "../../lib/dom.js";
import { KINDS, SEVERITIES, kindName, start, state } from "./words.js";

/** @typedef {{device?: string, kind?: string, severity?: string, open?: string, judged?: string, time?: string, from?: string, to?: string}} Wanted */

const NAMES = /** @type {const} */ (["device", "kind", "severity", "open", "judged", "time", "from", "to"]);
/** @type {Record<string, number>} */
const SPANS_S = { "1h": 3600, "24h": 86_400, "7d": 604_800 };

/** @param {URLSearchParams} query @returns {Wanted} */
export function wantedOf(query) {
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value));
}

/** The span asked for, ms since the epoch; null where it is open. @param {Wanted} wanted */
function span({ time = "", from, to }) {
  if (SPANS_S[time]) return { from: Date.now() - SPANS_S[time] * 1000, to: null };
  const at = (/** @type {string | undefined} */ text) => (text && !Number.isNaN(Date.parse(text)) ? Date.parse(text) : null);
  return time === "span" ? { from: at(from), to: at(to) } : { from: null, to: null };
}

/** As the station is asked. @param {Wanted} wanted */
export function params(wanted) {
  const { from, to } = span(wanted);
  const iso = (/** @type {number | null} */ t) => (t === null ? null : new Date(t).toISOString());
  const { device = null, kind = null, severity = null } = wanted;
  return { device, kind, severity, open: wanted.open ? wanted.open === "yes" : null, from: iso(from), to: iso(to) };
}

/** Whether it has been judged as was asked; the station does not filter by that. @param {Wanted} wanted @param {import("./words.js").Anomaly} one */
export function isJudged({ judged }, one) {
  const now = state(one.label);
  return !judged || judged === now || (judged === "no" && (now === "new" || now === "seen"));
}

/** Whether what came live belongs to the list. @param {Wanted} wanted @param {import("./words.js").Anomaly} one */
export function matches(wanted, one) {
  const { from, to } = span(wanted);
  const equal = (/** @type {"device" | "kind" | "severity"} */ name) => !wanted[name] || wanted[name] === one[name];
  const open = !wanted.open || (wanted.open === "yes") === one.open;
  const inTime = (from === null || one.end_ns / 1e6 >= from) && (to === null || start(one) < to);
  return equal("device") && equal("kind") && equal("severity") && open && inTime && isJudged(wanted, one);
}

/** The form; `changed` is told what is wanted now.
 * @param {Wanted} wanted @param {string[]} devices @param {(wanted: Wanted) => void} changed */
export function filterForm(wanted, devices, changed) {
  const known = wanted.device && !devices.includes(wanted.device) ? [wanted.device, ...devices] : devices;
  /** @type {[string, string, [string, string][]][]} */
  const choices = [
    ["device", "Device", known.map((name) => [name, name])],
    ["kind", "Kind", Object.keys(KINDS).map((kind) => [kind, kindName(kind)])],
    ["severity", "Severity", Object.entries(SEVERITIES).map(([name, [word]]) => [name, word])],
    ["open", "Lasting", [["yes", "Still open"], ["no", "Over"]]],
    ["judged", "Judged", [["no", "Not judged yet"], ["new", "New"], ["seen", "Seen"], ["confirmed", "Confirmed"], ["dismissed", "Dismissed"]]],
    ["time", "Time", [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["span", "From … to …"]]],
  ];
  const fields = choices.map(([name, label, options]) => field(name, label,
    h("select", { id: `f-${name}`, name }, h("option", { value: "" }, "Any"),
      options.map(([value, word]) => h("option", { value, selected: wanted[/** @type {keyof Wanted} */ (name)] === value }, word)))));
  const ends = ["from", "to"].map((name) => field(name, name === "from" ? "From" : "To",
    h("input", { id: `f-${name}`, name, type: "datetime-local", value: wanted[/** @type {keyof Wanted} */ (name)] ?? "" })));
  const show = (/** @type {string | undefined} */ time) => ends.forEach((one) => (one.hidden = time !== "span"));
  show(wanted.time);
  const form = h("form", { class: "filters", "aria-label": "Filter", onsubmit: (/** @type {Event} */ e) => e.preventDefault() }, fields, ends,
    h("button", { type: "button", class: "button quiet clear", hidden: countOf(wanted) === 0, onclick: () => { for (const el of form.querySelectorAll("select, input")) el.value = ""; said(); } }, "Clear"));
  const said = () => {
    const now = /** @type {Wanted} */ (Object.fromEntries([...new FormData(form)].filter(([, value]) => value)));
    show(now.time);
    if (now.time !== "span") delete now.from, delete now.to;
    changed(now);
  };
  form.addEventListener("change", said);
  return form;
}

/** What is wanted, for a phone's folded form. @param {Wanted} wanted */
export const countOf = (wanted) => Object.keys(wanted).filter((name) => name !== "from" && name !== "to").length;

/** @param {string} name @param {string} label @param {Element} control */
const field = (name, label, control) => h("div", { class: "field" }, h("label", { for: `f-${name}` }, label), control);

/** Devices that came to be known later. @param {HTMLFormElement} form @param {string[]} devices */
export function offerDevices(form, devices) {
  const select = /** @type {HTMLSelectElement} */ (form.querySelector("#f-device"));
  const chosen = select.value;
  const all = [...new Set([...devices, ...(chosen ? [chosen] : [])])].sort();
  replace(select, h("option", { value: "" }, "Any"), all.map((name) => h("option", { value: name, selected: name === chosen }, name)));
}
