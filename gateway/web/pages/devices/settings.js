// The settings that an edge agent downloads with the answer to its next batch: a form over GET and PUT .../settings.

import { api, ApiError } from "../../lib/api.js";
import { h, replace, toast } from "../../lib/dom.js";
import { ago } from "../../lib/format.js";

/** @param {string} path @param {boolean} may @param {AbortSignal} signal */
export async function settingsForm(path, may, signal) {
  const box = h("div", { class: "page" });
  try {
    draw(box, path, may, await api.get(`${path}/settings`, { signal }));
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    replace(box, h("p", { class: "muted" }, "Only an enrolled device downloads settings."));
  }
  return box;
}

/** @param {HTMLElement} box @param {string} path @param {boolean} may @param {any} shown */
function draw(box, path, may, shown) {
  const { wanted, reported } = shown;
  const rows = h("tbody", null, Object.entries(wanted.sources ?? {}).map(([name, source]) => row(name, source, may)));
  const period = h("input", { id: "set-period", type: "number", min: 0.1, step: "any", value: wanted.batch_period_s ?? "", disabled: !may, placeholder: "its own" });
  const error = h("p", { class: "error", role: "alert" });
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      draw(box, path, may, await api.put(`${path}/settings`, { body: read(rows, period) }));
      toast("Saved: the device gets it with the answer to its next batch");
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      error.textContent = failure.path ? `${failure.path}: ${failure.detail}` : failure.detail;
    }
  };
  replace(box,
    h("p", { class: "muted small" }, "For the edge agent on a Pi, and for the phone page, whose sources are its sensors (acceleration, location, …: on or off). What is empty is as the device has it. ", h("strong", null, word(wanted, reported))),
    h("form", { class: "page", onsubmit: save },
      h("div", { class: "field" }, h("label", { for: "set-period" }, "A batch every (seconds)"), period),
      h("div", { class: "scroll" }, h("table", { class: "sources" },
        h("thead", null, h("tr", null, ["Source", "On", "Rate (Hz)", "Every (s)"].map((text) => h("th", { scope: "col" }, text)))), rows)),
      error,
      may && h("div", { class: "row" },
        h("button", { class: "button", type: "button", onclick: () => rows.append(row("", {}, true)) }, "Add a source"),
        h("button", { class: "button primary" }, "Save"),
        h("a", { class: "button quiet", download: `${shown.device}-settings.json`, href: `data:application/json,${encodeURIComponent(JSON.stringify(wanted, null, 2))}` }, "Download as a file"))));
}

/** @param {any} wanted @param {any} reported */
function word(wanted, reported) {
  if (!reported) return wanted.version ? "It has not reported yet." : "";
  if (reported.failed !== undefined) return `Version ${reported.failed} failed on it (${reported.reason}); version ${reported.in_force} is in force.`;
  const when = ago(reported.at_ns / 1e6);
  return reported.in_force === wanted.version ? `In force since ${when}.` : `Version ${reported.in_force} is in force; version ${wanted.version} waits for its next batch.`;
}

/** @param {string} name @param {any} source @param {boolean} may */
function row(name, source, may) {
  const field = (/** @type {string} */ key, /** @type {string} */ label) =>
    h("td", null, h("input", { name: key, type: "number", min: 0, step: "any", size: 6, value: source[key] ?? "", disabled: !may, "aria-label": `${label} of ${name || "the new source"}`, placeholder: "its own" }));
  const on = source.enabled === undefined ? "" : String(source.enabled);
  const choice = h("select", { name: "enabled", disabled: !may, "aria-label": `${name || "The new source"} on or off` },
    [["", "its own"], ["true", "on"], ["false", "off"]].map(([value, text]) => h("option", { value, selected: value === on }, text)));
  return h("tr", null,
    h("td", null, h("input", { name: "name", value: name, disabled: !may, maxlength: 64, size: 10, "aria-label": "Source, as the device's file names it" })),
    h("td", null, choice), field("rate_hz", "Rate"), field("every_s", "Interval"));
}

/** The form as a document; rows without a name are none. @param {HTMLElement} rows @param {HTMLInputElement} period */
function read(rows, period) {
  /** @type {Record<string, any>} */
  const sources = {};
  for (const tr of rows.querySelectorAll("tr")) {
    const value = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (tr.querySelector(`[name=${name}]`)).value.trim();
    if (!value("name")) continue;
    /** @type {Record<string, any>} */
    const source = {};
    if (value("enabled")) source.enabled = value("enabled") === "true";
    for (const key of ["rate_hz", "every_s"]) if (value(key)) source[key] = Number(value(key));
    sources[value("name")] = source;
  }
  return { ...(period.value ? { batch_period_s: Number(period.value) } : {}), ...(Object.keys(sources).length ? { sources } : {}) };
}
