// What a device is given, shown once: QR codes, a code or a token to copy, and the words for each kind of device.

import { api } from "../../lib/api.js";
import { h, replace, toast } from "../../lib/dom.js";
import { time } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";

const APPS = {
  phone: ["This station's phone page", "Scan it with the phone's camera; the page opens and the phone is enrolled."],
  sensor_logger: ["Sensor Logger", "In the app: Settings → Data Streaming; or scan this with the phone's camera."],
  owntracks: ["OwnTracks", "Scan it with the phone's camera, or open the address on the phone."],
};

/** A text that is to be copied. @param {string} label @param {string} text */
export function copyable(label, text) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast(`${label} copied`);
    } catch {
      getSelection()?.selectAllChildren(shown); // plain HTTP has no clipboard: one key is left to press
      toast(`Press Ctrl+C to copy the ${label.toLowerCase()}`);
    }
  };
  const shown = h("code", { class: "secret", tabindex: "0" }, text);
  return h("div", { class: "copyable" }, h("span", { class: "label" }, label), shown,
    h("button", { class: "button small", type: "button", onclick: copy, "aria-label": `Copy ${label.toLowerCase()}` }, icon("copy", 16), "Copy"));
}

/** The ways in that these credentials open. @param {HTMLElement} into @param {string} device @param {{code?: string, token?: string, expires_ns?: number}} given @param {string[]} apps */
export async function showWays(into, device, given, apps) {
  const { links } = await api.post(`/v1/devices/${encodeURIComponent(device)}/setup`, { body: { code: given.code, token: given.token } });
  const shown = links.filter((/** @type {any} */ link) => apps.includes(link.app));
  replace(into,
    given.code && h("p", null, "This code is good once", given.expires_ns ? ` and until ${time(given.expires_ns / 1e6, { seconds: false })}` : "", "."),
    given.token && h("p", { class: "notice warn" }, "The token is shown this once. Whoever has it can send as this device."),
    given.code && copyable("Code", given.code),
    given.token && copyable("Token", given.token),
    h("div", { class: "ways" }, shown.map(way)));
  into.querySelector("h2, h3, p")?.scrollIntoView({ block: "nearest" });
}

/** @param {any} link */
function way(link) {
  const [name, how] = APPS[/** @type {keyof APPS} */ (link.app)];
  const src = `data:image/svg+xml;utf8,${encodeURIComponent(link.svg)}`;
  return h("figure", { class: "way card" },
    h("img", { class: "qr", src, alt: `QR code that sets ${name} up`, width: 240, height: 240 }),
    h("figcaption", null,
      h("h3", null, name),
      h("p", { class: "small" }, how),
      link.note && h("p", { class: "notice warn small" }, link.note),
      h("p", { class: "small" }, h("a", { href: link.address, rel: "noopener" }, "Open on this device"))));
}

/** What a Pi is told. @param {string} code */
export function piCommands(code) {
  const url = location.origin;
  return h("div", { class: "notice" },
    h("h3", null, "On the Raspberry Pi"),
    h("ol", { class: "plain-steps" },
      h("li", null, copyable("First", "sensorline edge init")),
      h("li", null, copyable("Then", `sensorline edge enroll ${url} ${code}`)),
      h("li", null, copyable("And", "sensorline edge run"))));
}
