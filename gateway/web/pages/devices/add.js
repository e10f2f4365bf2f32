// A new device: its name, what it is, and then the way in.

import { api, ApiError } from "../../lib/api.js";
import { h, replace } from "../../lib/dom.js";
import { copyable, piCommands, showWays } from "./show.js";

const NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}$/;
/** What a person has in hand: label, what it means, and whether it comes in by a code or by a token. */
const KINDS = /** @type {const} */ ([
  ["page", "A phone, with this station's page", "Nothing to install: the phone's browser sends.", "code"],
  ["sensor_logger", "A phone, with the Sensor Logger app", "Goes on in the background.", "token"],
  ["owntracks", "A phone, with the OwnTracks app", "Position only; spares the battery.", "token"],
  ["pi", "A Raspberry Pi or another Linux machine", "The edge agent, with a spool on disk.", "code"],
  ["other", "Something else", "A token for your own program.", "token"],
]);

/** @param {HTMLElement} root @param {import("../../app.js").Context} context */
export async function renderAdd(root, { query, can }) {
  if (!can("operator")) {
    replace(root, h("div", { class: "notice warn" }, h("h1", null, "Add a device"), h("p", null, "This needs the role operator.")));
    return;
  }
  const error = h("p", { class: "error", id: "add-error", role: "alert" });
  const result = h("section", { class: "page", "aria-live": "polite" });
  const name = h("input", { id: "add-name", name: "device", required: true, maxlength: 64, autocomplete: "off", autocapitalize: "off", spellcheck: "false", value: query.get("name") ?? "", "aria-describedby": "add-hint add-error" });
  const submit = h("button", { class: "button primary" }, "Add it");
  const form = h("form", { class: "card page", novalidate: true, onsubmit: (/** @type {Event} */ event) => void add(event) },
    h("div", { class: "field" }, h("label", { for: "add-name" }, "Its name"), name,
      h("p", { class: "hint", id: "add-hint" }, "Letters, digits, - _ and . ; for example anna-phone or pi-roof."), error),
    h("fieldset", { class: "kinds" }, h("legend", { class: "label" }, "What is it?"), KINDS.map(([value, label, hint], k) =>
      h("label", { class: "kind" }, h("input", { type: "radio", name: "kind", value, checked: k === 0 }), h("span", null, h("strong", null, label), h("span", { class: "muted small" }, hint))))),
    h("div", { class: "row" }, submit, h("a", { class: "button quiet", href: "#/devices" }, "Cancel")));

  /** @param {Event} event */
  async function add(event) {
    event.preventDefault();
    error.textContent = NAME.test(name.value) ? "" : "Give it a name of letters, digits, - _ and . (at most 64).";
    name.setAttribute("aria-invalid", String(Boolean(error.textContent)));
    if (error.textContent) return name.focus();
    const kind = new FormData(/** @type {HTMLFormElement} */ (form)).get("kind");
    const [, , , by] = KINDS.find(([value]) => value === kind) ?? KINDS[0];
    submit.disabled = true;
    try {
      await given(name.value, String(kind), by);
      form.remove();
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      error.textContent = failure.status === 409 ? `There is a device ${name.value} already: choose another name, or open it to give it a new token.` : failure.detail;
    } finally {
      submit.disabled = false;
    }
  }

  /** @param {string} device @param {string} kind @param {"code" | "token"} by */
  async function given(device, kind, by) {
    const path = `/v1/devices/${encodeURIComponent(device)}`;
    const made = by === "code" ? await api.post(`${path}/codes`) : await api.post("/v1/devices", { body: { device } });
    const ways = h("div", { class: "page" });
    replace(result, h("h2", { tabindex: "-1" }, `${device}: the way in`), kind === "pi" ? piCommands(made.code) : ways,
      h("div", { class: "row" }, h("a", { class: "button", href: `#/device/${encodeURIComponent(device)}` }, "Watch it"), h("a", { class: "button", href: "#/devices/new" , onclick: again }, "Add another"), h("a", { class: "button quiet", href: "#/devices" }, "All devices")));
    if (kind === "other") replace(ways, h("p", { class: "notice warn" }, "The token is shown this once."), copyable("Token", made.token), copyable("Send to", `${location.origin}/v1/batches`));
    else if (kind !== "pi") await showWays(ways, device, made, [kind === "page" ? "phone" : kind]);
    result.querySelector("h2")?.focus();
  }

  function again() {
    if (location.hash === "#/devices/new") dispatchEvent(new HashChangeEvent("hashchange"));
  }

  replace(root, h("div", { class: "page-head" }, h("h1", null, "Add a device")), form, result);
  name.focus();
}
