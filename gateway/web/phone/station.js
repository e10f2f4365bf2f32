// What the page asks of its station: a token for a code, and to take a batch.

import { retryAfter_s } from "./backoff.js";

const SEND_WAIT_MS = 30_000; // of one send, the answer included
const ENROL_WAIT_MS = 15_000;
const PLAIN = /** @type {RequestInit} */ ({
  method: "POST",
  credentials: "omit", // a person's login is none of the edge's business
  cache: "no-store",
  redirect: "error", // a login page of some network
  referrerPolicy: "no-referrer",
});

/** @typedef {import("./decide.js").Answer} Answer */

/** Post one batch once; never rejects.  `sent_us`: this clock now, when it is the one that stamped the batch; `report` of
 * the settings in force.
 * @param {import("./spool.js").Row} row @param {string} token @param {number | null} sent_us @param {string} report
 * @returns {Promise<Answer>} */
export function post(row, token, sent_us, report) {
  return asked("/v1/batches", SEND_WAIT_MS, row.bytes, {
    Authorization: `Bearer ${token}`,
    "Sensorline-Settings": report,
    ...(row.encoding ? { "Content-Encoding": row.encoding } : {}),
    ...(sent_us === null ? {} : { "Sensorline-Sent": `${sent_us}000` }),
  });
}

/** @typedef {{device: string, token: string}} Enrolled
 * @typedef {{why: string}} Refused */

/** Get a token for a code.  `device`: what the code must be for, or null. @param {string} code @param {string | null} device
 * @returns {Promise<Enrolled | Refused>} */
export async function enrol(code, device) {
  const body = JSON.stringify(device ? { code, device } : { code });
  const answer = await asked("/v1/enroll", ENROL_WAIT_MS, body, {});
  const said = parsed(answer.text);
  if (answer.status === 200 && said.device && said.token) return { device: said.device, token: said.token };
  return { why: whyNot(answer, said) };
}

/** @param {Answer} answer @param {any} said */
function whyNot({ status, retry_after_s }, said) {
  if (status === null) return "The station does not answer. Try the same code again when the network is there.";
  if (status === 404 || status === 422)
    return "This code is no good: mistyped, used, or over ten minutes old. Ask for a new one on the station's Devices page.";
  if (status === 409) return `${said.detail ?? "This code is for another device."} Send or delete what is kept here first, or forget this phone below.`;
  if (status === 429) return `Too many wrong codes from this network. Wait ${Math.ceil(retry_after_s ?? 60)} s, then try again.`;
  return said.detail ?? `The station answered ${status}. Try again in a while.`;
}

/** @param {string} path @param {number} wait_ms @param {BodyInit} body @param {Record<string, string>} headers @returns {Promise<Answer>} */
async function asked(path, wait_ms, body, headers) {
  try {
    const signal = AbortSignal.timeout(wait_ms);
    const answer = await fetch(path, { ...PLAIN, body, signal, headers: { "Content-Type": "application/json", ...headers } });
    const text = await answer.text();
    return { status: answer.status, retry_after_s: retryAfter_s(answer.headers.get("Retry-After"), Date.now()), text };
  } catch (error) {
    const is_late = error instanceof DOMException && error.name === "TimeoutError";
    return { status: null, retry_after_s: null, text: is_late ? `no answer within ${wait_ms / 1000} s` : "no answer" };
  }
}

/** What an answer says, as JSON; {} when it says none. @param {string} text @returns {any} */
export function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
