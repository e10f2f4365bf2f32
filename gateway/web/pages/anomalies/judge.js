// What a person says of an anomaly: seen, real or false, and a note.

import { api, isAborted } from "../../lib/api.js";
import { h, replace, say, toast } from "../../lib/dom.js";
import { icon } from "../../lib/icons.js";
import { time } from "../../lib/format.js";
import { STATES, kindName, state } from "./words.js";

/** @typedef {import("./words.js").Anomaly} Anomaly
 * @typedef {import("./words.js").Label} Label */

const NOTE_CHARS_MAX = 1000;
/** Notes that are being written, by anomaly: looking at another one loses none. @type {Map<string, string>} */
const drafts = new Map();
/** @type {Record<string, {acknowledged: boolean, verdict: Label["verdict"], done: string}>} */
export const SAYINGS = {
  confirm: { acknowledged: true, verdict: "real", done: "Confirmed" },
  dismiss: { acknowledged: true, verdict: "false", done: "Dismissed" },
  seen: { acknowledged: true, verdict: null, done: "Marked as seen" },
  undo: { acknowledged: false, verdict: null, done: "Taken back" },
};

/** Say it to the station; the label as it is now.
 * @param {Anomaly} one @param {string} saying @param {AbortSignal} signal @returns {Promise<Label>} */
export async function put(one, saying, signal) {
  const { done, ...verdict } = SAYINGS[saying];
  const note = drafts.get(one.id) ?? one.label?.note ?? "";
  const label = await api.put(`/v1/anomalies/${one.id}/label`, { body: { ...verdict, note }, signal });
  if (drafts.get(one.id) === note) drafts.delete(one.id);
  toast(`${done}: ${kindName(one.kind)} on ${one.device}`);
  return label;
}

/** The form in the details.  `said` is told the new label.
 * @param {Anomaly} one @param {boolean} may @param {AbortSignal} signal @param {(label: Label) => void} said */
export function judgeForm(one, may, signal, said) {
  const now = h("p", { class: "said", role: "status" });
  const error = h("p", { class: "error", role: "alert" });
  const note = h("textarea", { id: "note", maxlength: NOTE_CHARS_MAX, rows: 3, value: drafts.get(one.id) ?? one.label?.note ?? "", disabled: !may,
    placeholder: may ? "What was it? (optional)" : "", oninput: () => drafts.set(one.id, note.value) });
  const reason = may ? null : h("p", { class: "hint small muted", id: "why-not" }, "You may look but not judge: that needs the role operator. An admin can give it to you.");
  const keys = may ? h("p", { class: "hint small muted keys" }, "Keys in the list: ", h("kbd", null, "j"), " ", h("kbd", null, "k"), " move, ", h("kbd", null, "c"), " confirm, ", h("kbd", null, "d"), " dismiss, ", h("kbd", null, "s"), " seen, ", h("kbd", null, "u"), " take back") : null;
  const button = (/** @type {string} */ saying, /** @type {string} */ label, /** @type {string} */ kind, /** @type {any} */ drawn) =>
    h("button", { type: "button", class: `button ${kind}`, data: { saying }, disabled: !may, "aria-describedby": may ? null : "why-not", onclick: () => act(saying) }, drawn && icon(drawn), label);
  const buttons = [button("confirm", "Confirm", "primary", "check"), button("dismiss", "Dismiss", "", "cross"), button("seen", "Seen", "quiet", null), button("undo", "Take back", "quiet", null)];
  const noteOnly = h("button", { type: "button", class: "button quiet small", disabled: !may, onclick: () => act(current()) }, "Save the note");

  const current = () => ({ confirmed: "confirm", dismissed: "dismiss", seen: "seen", new: "seen" })[state(one.label)];
  const draw = () => {
    const label = one.label;
    const is = state(label);
    say(now, label && is !== "new" ? `${STATES[is][0]} by ${label.by}, ${time(label.at_ns / 1e6)}.` : "Nobody has judged it yet.");
    for (const el of buttons) el.setAttribute("aria-pressed", String(el.dataset.saying !== "undo" && label !== null && is !== "new" && el.dataset.saying === current()));
    buttons[3].hidden = is === "new";
    noteOnly.hidden = is === "new";
  };
  const act = async (/** @type {string} */ saying) => {
    const all = [...buttons, noteOnly];
    all.forEach((el) => (el.disabled = true));
    say(error, "");
    try {
      one.label = await put(one, saying, signal);
      said(one.label);
    } catch (problem) {
      if (isAborted(problem)) return;
      say(error, `Not saved: ${/** @type {Error} */ (problem).message} Your note is still here; try again.`);
    } finally {
      all.forEach((el) => (el.disabled = !may));
      draw();
    }
  };
  draw();
  const el = h("form", { class: "judge card", "aria-label": "Your judgement", onsubmit: (/** @type {Event} */ e) => e.preventDefault() },
    h("h3", null, "Was it real?"), now,
    h("div", { class: "field" }, h("label", { for: "note" }, "Note"), note),
    h("div", { class: "row" }, buttons, noteOnly), reason, error, keys);
  /** The label came from elsewhere (a key, another person); what is being written stays. */
  const refresh = () => {
    if (!drafts.has(one.id)) note.value = one.label?.note ?? "";
    draw();
  };
  return { el, refresh };
}

/** What was said of it before, for an admin: the audit trail knows. @param {Anomaly} one @param {Element} into @param {AbortSignal} signal */
export async function history(one, into, signal) {
  const { audit } = await api.get("/v1/audit", { params: { limit: 1000 }, signal });
  const own = audit.filter((/** @type {any} */ e) => e.what === "anomaly.label" && e.subject === one.id && e.outcome === "begun");
  const word = (/** @type {any} */ d) => STATES[state(/** @type {Label} */ ({ note: "", by: "", at_ns: 0, ...d }))][0];
  replace(into, own.length ? h("ol", { class: "history" }, own.map((/** @type {any} */ e) => h("li", null, h("strong", null, word(e.details)), ` by ${e.who}, ${time(e.at_ns / 1e6)}`))) : h("p", { class: "muted small" }, "Nothing was said of it yet."));
}
