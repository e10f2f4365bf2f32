// What an edge does with an answer: free the batch, set it aside, hold the lane, or try again.  Pure.
//
//     2xx with a receipt         free: the log has it
//     400 409 413 415 422        set aside: the same bytes will be refused again
//     401 403 404                hold: the bytes are fine, the credentials or the address are not; raise the alarm
//     408 429 5xx, silence       try again, without end
//     any other                  hold: nobody promised what it means, so nothing may be thrown away
//
// A 2xx alone is no receipt: a hotel's login page answers 200 to everything.

import { WAIT_S_MAX, wait_s } from "./backoff.js";

const ASIDE = new Set([400, 409, 413, 415, 422]);
const PROBLEM = "urn:sensorline:error:";

/** `status` null: nobody answered.
 * @typedef {{status: number | null, retry_after_s: number | null, text: string}} Answer
 * @typedef {{do: "free"}
 *   | {do: "aside" | "hold", reason: string, status: number, wait_s: number}
 *   | {do: "retry", reason: string, is_answered: boolean, wait_s: number}} Action
 */

/** After the `attempt`-th send (from 0) of a batch was answered so.
 * @param {number} attempt @param {Answer} answer @param {import("./identity.js").Id} id @param {() => number} random
 * @returns {Action} */
export function decide(attempt, answer, id, random) {
  const { status, retry_after_s } = answer;
  const again = (/** @type {string} */ reason, is_answered = false) =>
    /** @type {Action} */ ({ do: "retry", reason, is_answered, wait_s: wait_s(attempt, retry_after_s, random) });
  if (status === null) return again(answer.text || "no answer");
  if (status === 408 || status === 429 || (status >= 500 && status <= 599)) return again(said(answer), true);
  if (status >= 200 && status <= 299)
    return isReceipt(answer.text, id) ? { do: "free" } : again("answered without a receipt: a login page of this network?");
  if (ASIDE.has(status)) return { do: "aside", reason: said(answer), status, wait_s: 0 };
  return { do: "hold", reason: said(answer), status, wait_s: WAIT_S_MAX * (0.5 + random() / 2) };
}

/** Is this the station's word that it stored this very batch? @param {string} text @param {import("./identity.js").Id} id */
export function isReceipt(text, id) {
  const said = parsed(text);
  return said?.status === "stored" && said.device === id.device && said.session === id.session && said.seq === id.seq;
}

/** A refusal in a line: the status, and what the problem document says. @param {Answer} answer */
export function said({ status, text }) {
  const problem = parsed(text);
  const code = typeof problem?.type === "string" ? problem.type.replace(PROBLEM, "") : "";
  const detail = typeof problem?.detail === "string" ? problem.detail.slice(0, 500) : "";
  return [status, code, detail].filter(Boolean).join(" ");
}

/** @param {string} text @returns {any} */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
