// The live stream: one connection with everything that a page asked for, resumed where it broke off.

import { toLogin } from "./api.js";

const KINDS = ["hello", "readings", "pulse", "anomaly", "lost", "reset"];
const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;

/**
 * @typedef {{kinds?: string[], devices?: string[], sensors?: string[], points?: number}} Wanted
 * @typedef {Partial<Record<"hello"|"readings"|"pulse"|"anomaly"|"lost"|"reset"|"state", (data: any) => void>>} Handlers
 */

/** Open the stream; it comes again by itself until `close` or until `signal` aborts.
 * `state` is told "connected" and "reconnecting".
 * @param {Wanted} wanted @param {Handlers} handlers @param {AbortSignal} [signal] @returns {{close: () => void}} */
export function open(wanted, handlers, signal) {
  /** @type {EventSource | null} */
  let source = null;
  let last = "";
  let wait_ms = WAIT_MS_MIN;
  let timer = 0;
  let closed = false;

  const connect = () => {
    source = new EventSource(address(wanted, last));
    for (const kind of KINDS) source.addEventListener(kind, (event) => take(kind, /** @type {MessageEvent} */ (event)));
    source.onerror = () => again();
  };
  const take = (/** @type {string} */ kind, /** @type {MessageEvent} */ event) => {
    if (event.lastEventId) last = event.lastEventId;
    if (kind === "hello") {
      wait_ms = WAIT_MS_MIN;
      handlers.state?.("connected");
    }
    handlers[/** @type {keyof Handlers} */ (kind)]?.(JSON.parse(event.data));
  };
  // The browser's own reconnecting gives up at any answer but 200, and a station that restarts gives some.
  const again = () => {
    source?.close();
    if (closed) return;
    handlers.state?.("reconnecting");
    timer = window.setTimeout(async () => {
      if (await loggedOut()) toLogin();
      else if (!closed) connect();
    }, wait_ms * (0.75 + Math.random() / 2));
    wait_ms = Math.min(wait_ms * 2, WAIT_MS_MAX);
  };
  const close = () => {
    closed = true;
    clearTimeout(timer);
    source?.close();
  };
  signal?.addEventListener("abort", close);
  if (signal?.aborted) closed = true; // one left while the page was being made: no event comes any more
  else connect();
  return { close };
}

/** @param {Wanted} wanted @param {string} last */
function address({ kinds, devices = [], sensors = [], points }, last) {
  const query = new URLSearchParams();
  if (kinds) query.set("kinds", kinds.join(","));
  for (const device of devices) query.append("device", device);
  for (const sensor of sensors) query.append("sensor", sensor);
  if (points) query.set("points", String(points));
  if (last) query.set("after", last);
  return `/v1/live?${query}`;
}

/** An EventSource does not tell a 401 from a station that is away. */
async function loggedOut() {
  try {
    return (await fetch("/v1/me", { signal: AbortSignal.timeout(5000) })).status === 401;
  } catch {
    return false;
  }
}
