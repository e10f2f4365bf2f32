// Who may send: every device with its tokens, the way in for a new one, and what one device is told.

import { api } from "../lib/api.js";
import { h, replace, sheet } from "../lib/dom.js";
import { ago, count, ms, plural } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { renderAdd } from "./devices/add.js";
import { renderOne } from "./devices/one.js";

export const title = (/** @type {string[]} */ params) => (params[0] === "new" ? "Add a device" : params[1] || "Devices");

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await sheet("/assets/styles/devices.css");
  const [what, name] = context.params;
  if (what === "new") return renderAdd(root, context);
  if (what === "of" && name) return renderOne(root, name, context);
  return renderList(root, context);
}

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
async function renderList(root, { signal, can }) {
  const { devices } = await api.get("/v1/devices", { signal });
  const add = can("operator")
    ? h("a", { class: "button primary", href: "#/devices/new" }, icon("plus"), "Add a device")
    : h("p", { class: "muted small" }, "A viewer cannot add devices: ask an operator.");
  const head = h("div", { class: "page-head" }, h("h1", { class: "grow" }, "Devices"), add);
  replace(root, head, devices.length ? h("ul", { class: "cards device-cards" }, devices.map(card)) : empty(can("operator")));
}

/** @param {any} device */
function card(device) {
  const valid = device.tokens.filter(isValid);
  const state = device.registered
    ? h("span", { class: valid.length ? "chip good" : "chip warn" }, valid.length ? plural(valid.length, "token") : "no valid token")
    : h("span", { class: "chip" }, "only in the store");
  return h("li", { class: "card device-card" },
    h("div", { class: "row" }, h("h2", { class: "grow clip" }, h("a", { href: `#/devices/of/${encodeURIComponent(device.device)}` }, device.device)), state),
    h("p", { class: "muted small" }, device.last_ns === null ? "has sent nothing yet" : `${count(device.readings)} readings · seen ${ago(ms(device.last_ns))}`),
    h("p", { class: "muted small clip" }, device.sensors.join(", ") || "\u00a0"));
}

/** @param {any} token @param {number} [now] */
export const isValid = (token, now = Date.now()) => token.revoked_ns === null && (token.expires_ns === null || token.expires_ns / 1e6 > now);

/** @param {boolean} may */
function empty(may) {
  return h("div", { class: "empty" },
    h("h2", null, "No device yet"),
    h("p", null, may ? "Add your phone or a Raspberry Pi: it takes a minute." : "An operator can add the first one."),
    may && h("a", { class: "button primary", href: "#/devices/new" }, "Add a device"),
    h("p", { class: "small" }, "Only looking around? ", h("code", null, `sensorline simulate --devices 5 --ledger fleet.jsonl --url ${location.origin}`), " sends from simulated phones."));
}
