// One device: its tokens, a new way in, the settings that it downloads, and its end.

import { api, ApiError } from "../../lib/api.js";
import { confirmed, h, replace, toast } from "../../lib/dom.js";
import { ago, count, ms, time } from "../../lib/format.js";
import { isValid } from "../devices.js";
import { settingsForm } from "./settings.js";
import { piCommands, showWays } from "./show.js";

/** @param {HTMLElement} root @param {string} name @param {import("../../app.js").Context} context */
export async function renderOne(root, name, context) {
  const { signal, can } = context;
  const path = `/v1/devices/${encodeURIComponent(name)}`;
  const again = () => renderOne(root, name, context);
  const { devices } = await api.get("/v1/devices", { signal });
  const device = devices.find((/** @type {any} */ d) => d.device === name);
  if (!device) {
    replace(root, h("div", { class: "notice warn" }, h("h1", null, `There is no device ${name}`), h("p", null, h("a", { href: "#/devices" }, "All devices"))));
    return;
  }
  const operator = can("operator");
  const way = h("div", { class: "page", "aria-live": "polite" });
  replace(root,
    h("div", { class: "page-head" }, h("h1", { class: "grow clip" }, name),
      h("a", { class: "button", href: `#/device/${encodeURIComponent(name)}` }, "Its readings"), h("a", { class: "button quiet", href: "#/devices" }, "All devices")),
    h("p", { class: "muted" }, device.last_ns === null ? "No readings yet" : `${count(device.readings)} readings, seen ${ago(ms(device.last_ns))}`,
      device.registered_ns ? `; enrolled ${time(device.registered_ns / 1e6)}` : "; not enrolled: the store knows it from before"),
    h("section", { class: "card page" }, h("h2", null, "A new way in"),
      h("p", { class: "muted small" }, "A code is good once, for ten minutes. A new token lets the old ones live for another hour."),
      operator ? h("div", { class: "row" },
        button("Code for the phone page", () => code("page")), button("Code for a Pi", () => code("pi")),
        device.registered && button("New token", rotate)) : needs("operator"), way),
    h("section", { class: "card page" }, h("h2", null, "Tokens"), tokens()),
    h("section", { class: "card page" }, h("h2", null, "Settings to download"), await settingsForm(path, operator, signal)),
    can("admin") && h("section", { class: "card page" }, h("h2", null, "Delete"),
      h("p", { class: "muted small" }, "Its readings become unreadable at once and leave the store; the log drops them by its retention."),
      h("div", { class: "row" }, button("Delete the device and its data", remove, "button danger"))));

  function tokens() {
    if (!device.tokens.length) return h("p", { class: "muted" }, "None: give it a way in.");
    return h("div", { class: "scroll" }, h("table", null,
      h("thead", null, h("tr", null, ["Id", "Made", "Good until", ""].map((text) => h("th", { scope: "col" }, text || h("span", { class: "sr" }, "Actions"))))),
      h("tbody", null, device.tokens.map((/** @type {any} */ t) => h("tr", null,
        h("td", null, h("code", null, t.id)), h("td", { class: "nowrap" }, time(t.created_ns / 1e6, { seconds: false })), h("td", null, until(t)),
        h("td", { class: "num" }, operator && isValid(t) && button("Revoke", () => revoke(t.id), "button small danger", `Revoke token ${t.id}`)))))));
  }

  /** @param {"page" | "pi"} kind */
  async function code(kind) {
    const made = await api.post(`${path}/codes`);
    if (kind === "pi") replace(way, piCommands(made.code));
    else await showWays(way, name, made, ["phone"]);
  }

  async function rotate() {
    const made = await api.post(`${path}/rotate`);
    await showWays(way, name, made, ["sensor_logger", "owntracks"]);
  }

  /** @param {string} id */
  async function revoke(id) {
    if (!(await confirmed({ title: "Revoke this token?", text: "Whoever sends with it is refused within seconds. It cannot be taken back.", yes: "Revoke", danger: true }))) return;
    await api.post(`${path}/revoke`, { body: { token_id: id } });
    toast("Revoked");
    await again();
  }

  async function remove() {
    const text = `${name} and its ${count(device.readings)} readings go for good.`;
    if (!(await confirmed({ title: `Delete ${name}?`, text, yes: "Delete for good", danger: true }))) return;
    const gone = await api.delete(path);
    toast(`${name} is deleted; the log keeps nothing of it from ${gone.log_clean_by} on`);
    location.hash = "#/devices";
  }
}

/** @param {any} token */
function until(token) {
  if (token.revoked_ns !== null) return h("span", { class: "chip bad" }, `revoked ${time(token.revoked_ns / 1e6)}`);
  if (!isValid(token)) return h("span", { class: "chip" }, `ended ${time(token.expires_ns / 1e6)}`);
  return token.expires_ns === null ? h("span", { class: "chip good" }, "for good") : time(token.expires_ns / 1e6);
}

/** A button that is off while its work runs, and says what failed. @param {string} text @param {() => Promise<any>} work @param {string} [style] @param {string} [label] */
export function button(text, work, style = "button", label) {
  const made = h("button", { class: style, type: "button", "aria-label": label, onclick: async () => {
    made.disabled = true;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(error.detail, "bad");
    } finally {
      made.disabled = false;
    }
  } }, text);
  return made;
}

/** @param {string} role */
const needs = (role) => h("p", { class: "muted" }, `This needs the role ${role}.`);
