// The page's parts, built once and updated in place: nothing jumps, and only what changed is read out.

import { confirmed, h, replace, say } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { codeForm } from "./forms.js";
import { refusedPart } from "./refused.js";
import { SENSOR_NAMES, facts, notices, reading, state } from "./view.js";

const SENSORS = Object.keys(SENSOR_NAMES);
const HINT = "Keep this page in front and the screen on while you record: a browser stops the sensors of a page that nobody sees.";

/** @param {import("./edge.js").Edge} edge @param {Element} root @param {{is_ios: boolean}} options */
export function build(edge, root, { is_ios }) {
  const parts = { ...stateCard(edge), ...sensorCard(), ...factCard(), ...phoneCard(edge) };
  const first = codeForm("code", "Connect", (code) => edge.enrol(code));
  const connect = h("section", { class: "card connect", "aria-labelledby": "connect-title" },
    h("h2", { id: "connect-title" }, "Connect this phone"),
    h("p", { class: "muted" }, "On the station's Devices page, add a phone. It shows a code:"),
    first.form,
  );
  const notes = h("section", { class: "notes", "aria-label": "Notes" });
  const side = h("div", { class: "side" }, parts.sensors, parts.facts, parts.phone);
  replace(root, h("div", { class: "front" }, parts.state, notes, connect), side);
  root.removeAttribute("aria-busy");
  let noted = "";

  const update = () => {
    const s = edge.status();
    const { tone, title, detail } = state(s);
    parts.state.dataset.tone = tone;
    say(parts.title, title);
    say(parts.detail, detail);
    parts.button.hidden = !s.is_enrolled;
    say(parts.button, s.is_recording ? "Stop" : "Start");
    parts.button.classList.toggle("primary", !s.is_recording);
    connect.hidden = s.is_enrolled && s.alarm === "";
    side.hidden = !s.is_enrolled;
    parts.phone.hidden = !s.is_enrolled;
    const chip = /** @type {HTMLElement} */ (document.getElementById("device"));
    chip.hidden = !s.is_enrolled;
    say(chip, s.device);
    SENSORS.forEach((sensor, k) => reading(s, sensor).forEach((text, n) => say(parts.cells[k][n], text)));
    facts(s, location.host).forEach(([, value], k) => say(parts.values[k], value));
    noted = tell(notes, s, is_ios, noted);
    parts.refused.show();
  };
  update();
  return { update, connectBy: connecting(edge, first, parts) };
}

/** Connect by a code that came with the address: at once when the phone is new, else in the form, for its person to say so.
 * @param {import("./edge.js").Edge} edge @param {ReturnType<typeof codeForm>} first @param {any} parts */
const connecting = (edge, first, parts) => async (/** @type {string} */ code) => {
  if (!edge.device) return first.submit(code);
  parts.phone.open = true;
  parts.phone.querySelector("input").value = code;
  parts.phone.querySelector("form button").focus();
};

/** @param {Element} notes @param {import("./view.js").Status} s @param {boolean} is_ios @param {string} before */
function tell(notes, s, is_ios, before) {
  const all = s.is_enrolled ? notices(s, is_ios) : [];
  const now = JSON.stringify([s.is_enrolled, all]);
  if (now === before) return before;
  const made = all.map(({ id, tone, title, text }) =>
    h("div", { class: `notice ${tone}`, data: { notice: id }, role: tone === "bad" ? "alert" : null }, h("h2", null, title), h("p", null, text)));
  replace(notes, s.is_enrolled ? made : [], s.is_enrolled && s.alarm === "" && h("p", { class: "muted small hint" }, HINT));
  return now;
}

/** @param {import("./edge.js").Edge} edge */
function stateCard(edge) {
  const title = h("p", { class: "title", role: "status", id: "state" });
  const detail = h("p", { class: "detail", id: "detail" });
  const toggle = () => void (edge.recorder.isRecording ? edge.recorder.stop() : edge.recorder.start());
  const button = h("button", { class: "button primary wide", id: "toggle", type: "button", onClick: toggle }, "Start");
  return { state: h("section", { class: "card state", "aria-label": "State" }, title, detail, button), title, detail, button };
}

function sensorCard() {
  const cells = SENSORS.map(() => [h("td", { class: "num nowrap" }, "–"), h("td", { class: "num nowrap value" }, "–")]);
  const rows = SENSORS.map((sensor, k) => {
    const name = /** @type {Record<string, string>} */ (SENSOR_NAMES)[sensor];
    return h("tr", { data: { sensor } }, h("th", { scope: "row" }, name), cells[k]);
  });
  const head = h("tr", null, h("th", { scope: "col" }, "Sensor"), h("th", { scope: "col", class: "num" }, "Rate"), h("th", { scope: "col", class: "num" }, "Now"));
  const table = h("table", null, h("caption", { class: "sr" }, "What the sensors deliver"), h("thead", null, head), h("tbody", null, rows));
  return { sensors: h("section", { class: "card", "aria-label": "Sensors" }, table), cells };
}

function factCard() {
  const values = ["Kept here", "Oldest of them", "Last receipt", "Storage", "Station"].map((name) => [name, h("dd", null, "–")]);
  const list = h("dl", { class: "facts" }, values.map(([name, dd]) => h("div", null, h("dt", null, name), dd)));
  return { facts: h("section", { class: "card", "aria-label": "Delivery" }, list), values: values.map(([, dd]) => dd) };
}

/** @param {import("./edge.js").Edge} edge */
function phoneCard(edge) {
  const again = codeForm("code-again", "Connect again", (code) => edge.enrol(code));
  const refused = refusedPart(edge);
  const forget = async () => {
    const { kept_readings, totals } = edge.status();
    const lost = kept_readings + totals.aside_readings;
    const text = h("p", null, lost ? `${plural(lost, "reading")} that the station does not have are deleted with it.` : "Everything is at the station. To record again it needs a new code.");
    if (await confirmed({ title: `Forget ${edge.device} on this phone?`, text, yes: "Forget", danger: true })) await edge.forget();
  };
  const phone = h("details", { class: "card more" },
    h("summary", null, "This phone"),
    h("div", { class: "more-parts" },
      again.form,
      refused.part,
      h("div", { class: "row" },
        h("button", { class: "button", type: "button", onClick: () => edge.tryNow() }, "Send now"),
        h("button", { class: "button danger", type: "button", onClick: () => void forget() }, "Forget this phone"),
      ),
    ),
  );
  return { phone, refused };
}
