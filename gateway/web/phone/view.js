// What the page says of its state.  Pure: a status in, words out.

import { ago, bytes, duration, plural } from "../lib/format.js";

export const SENSOR_NAMES = {
  acceleration: "Acceleration",
  linear_acceleration: "Movement",
  gyroscope: "Rotation",
  orientation: "Orientation",
  location: "Position",
  battery: "Battery",
};
const MOTION = ["acceleration", "linear_acceleration", "gyroscope", "orientation"];
const SENSORLESS_MS = 3000;
const FAILING_MS = 2000;

/** @typedef {"" | "good" | "warn" | "bad" | "accent"} Tone
 * @typedef {{id: string, tone: Tone, title: string, text: string}} Notice
 * @typedef {ReturnType<import("./edge.js").Edge["status"]>} Status */

/** The state in two lines; the first is read out when it changes, so it holds no number.
 * @param {Status} s @returns {{tone: Tone, title: string, detail: string}} */
export function state(s) {
  const kept = `${plural(s.kept_readings, "reading")} kept`;
  const age = s.totals.oldest_ms === null ? "" : `, the oldest ${duration(Math.max(0, s.now_ms - s.totals.oldest_ms) / 1000)} old`;
  if (!s.is_enrolled) return { tone: "", title: "Not connected", detail: "This phone needs a code from the station." };
  if (s.storage) return { tone: "bad", title: s.storage === "full" ? "The storage is full" : "The storage fails", detail: "Nothing more is kept on this phone; see below how to mend it." };
  if (s.alarm) return { tone: "bad", title: "Refused by the station", detail: `${kept}${age}. ${s.is_recording ? "Recording goes on." : ""}` };
  if (!s.is_online || isFailing(s))
    return { tone: "warn", title: waitingFor(s), detail: `${kept}${age}. ${s.is_recording ? "Recording goes on." : "They go out by themselves."}` };
  if (s.is_recording && s.trouble.motion === "asked")
    return { tone: "accent", title: "Waiting for you", detail: "Allow motion and location where the browser asks." };
  if (s.is_recording)
    return { tone: "good", title: "Recording", detail: s.totals.batches > 2 ? `${kept}${age}, on the way.` : `What is recorded is at the station ${s.period_ms <= 1000 ? "a second" : duration(s.period_ms / 1000)} later.` };
  if (s.kept_readings > 0) return { tone: "accent", title: "Sending what was kept", detail: `${kept}${age}.` };
  return { tone: "", title: "Ready", detail: s.totals.last_receipt ? `Everything ${s.totals.aside_batches ? "else " : ""}is at the station.` : "Tap Start, and allow motion and location." };
}

/** One try that failed says nothing yet, unless the station bade the phone wait. @param {Status} s */
const isFailing = ({ failing, now_ms }) =>
  failing !== null && (failing.failed > 1 || now_ms - (failing.failing_since_ms ?? now_ms) > FAILING_MS);

/** @param {Status} s */
function waitingFor(s) {
  return s.is_online && s.failing?.is_answered ? "Waiting for the station" : "Waiting for the network";
}

/** What a person should know or do, the worst first. @param {Status} s @param {boolean} is_ios @returns {Notice[]} */
export function notices(s, is_ios) {
  /** @type {(Notice | false)[]} */
  const all = [
    s.storage === "full" && { id: "full", tone: "bad", title: "The phone's storage is full", text: "Free some room on the phone. The oldest unsent readings are dropped meanwhile, and the station is told how many." },
    s.storage === "failed" && { id: "failed", tone: "bad", title: "The browser's storage fails", text: "Reload this page. If that does not help, close the private window or free some room on the phone." },
    s.alarm !== "" && { id: "alarm", tone: "bad", title: "Connect this phone again", text: `${refusal(s)} Nothing is lost: ask for a code for “${s.device}” on the station's Devices page and enter it here.` },
    s.is_recording && s.trouble.motion === "denied" && { id: "motion", tone: "bad", title: "Motion sensors are not allowed", text: is_ios ? "Close the browser completely (swipe it away), open this page again, tap Start and Allow." : "Tap the icon left of the address, then Permissions, allow Motion sensors, and tap Stop and Start here." },
    isSensorless(s) && { id: "sensorless", tone: "warn", title: "No motion sensor delivers", text: "This device seems to have none, as most desktops. Open this page on a phone; position and battery are recorded all the same." },
    s.is_recording && s.trouble.location === "denied" && { id: "location", tone: "warn", title: "Location is not allowed", text: is_ios ? "Settings, Privacy & Security, Location Services, Safari Websites: choose While Using. Then reload this page." : "Tap the icon left of the address, then Permissions, allow Location, and tap Stop and Start here." },
    s.is_recording && s.trouble.location === "missing" && { id: "fix", tone: "", title: "No position yet", text: "Switch Location on in the phone's settings, or go where the sky is seen. Everything else is recorded." },
    s.totals.dropped_readings > 0 && { id: "dropped", tone: "warn", title: `${plural(s.totals.dropped_readings, "reading")} dropped`, text: `There was no room for more, so the oldest went. ${untold(s) || "The station counts them as dropped."}` },
    s.totals.aside_batches > 0 && { id: "aside", tone: "warn", title: `${plural(s.totals.aside_batches, "batch", "batches")} refused by the station`, text: `${plural(s.totals.aside_readings, "reading")} set aside on this phone. Below, under “This phone”, are the reasons, and they can be sent again.` },
    s.is_screen_refused && { id: "screen", tone: "", title: "The screen may go dark", text: "This browser does not let a page keep it on. Set a long screen timeout: a dark phone records nothing." },
  ];
  return all.filter((one) => one !== false);
}

/** @param {Status} s */
const untold = ({ totals: { unannounced_readings: n } }) => n > 0 && `The station was not told of ${n === 1 ? "one" : n} of them.`;

/** @param {Status} s */
function refusal(s) {
  if (s.alarm_status === 401) return "Its token was revoked or has expired.";
  if (s.alarm_status === 403) return "Its token is for another device.";
  return `The station answered: ${s.alarm}.`;
}

/** @param {Status} s */
const isSensorless = (s) =>
  s.is_recording && s.trouble.motion === "" && s.recorded_ms > SENSORLESS_MS && !MOTION.some((sensor) => s.last.has(sensor) || s.off.has(sensor));

/** The facts below the state, as [name, value]. @param {Status} s @param {string} station @returns {[string, string][]} */
export function facts(s, station) {
  const { totals } = s;
  const receipt = totals.last_receipt;
  return [
    ["Kept here", plural(s.kept_readings, "reading")],
    ["Oldest of them", totals.oldest_ms === null ? "–" : ago(totals.oldest_ms, s.now_ms)],
    ["Last receipt", receipt ? `${ago(receipt.at_ms, s.now_ms)}, batch ${receipt.seq}` : "none yet"],
    ["Storage", `${bytes(totals.bytes)} of ${bytes(s.size_bytes_max)}`],
    ["Station", station],
  ];
}

/** A sensor's rate and its last value. @param {Status} s @param {string} sensor @returns {[string, string]} */
export function reading(s, sensor) {
  if (s.off.has(sensor)) return ["–", "off, by the station"];
  const rate = s.rates[sensor] ?? 0;
  const per = rate === 0 && !s.last.has(sensor) ? "–" : rate >= 1 || rate === 0 ? `${Math.round(rate)} /s` : `${rate.toFixed(1)} /s`;
  return [per, s.is_recording ? value(sensor, s.last.get(sensor)) : "–"];
}

/** @param {string} sensor @param {Record<string, any> | undefined} values */
function value(sensor, values) {
  if (!values) return "–";
  if (sensor === "battery") return `${Math.round(values.level * 100)} %, ${values.state}`;
  if (sensor === "location") return `${values.latitude.toFixed(5)}, ${values.longitude.toFixed(5)}`;
  const unit = { gyroscope: "rad/s", orientation: "rad" }[sensor] ?? "m/s²";
  const three = sensor === "orientation" ? [values.pitch, values.roll, values.yaw] : [values.x, values.y, values.z];
  return `${three.map((x) => (typeof x === "number" ? x.toFixed(1).replace("-", "−") : "–")).join(" ")} ${unit}`;
}
