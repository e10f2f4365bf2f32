// The latest session of a device in short: what came and what is missing.

import { api } from "../../lib/api.js";
import { h, replace } from "../../lib/dom.js";
import { ago, count, duration, ms, plural } from "../../lib/format.js";
import { address } from "../../lib/within.js";

/** @param {HTMLElement} el @param {string} device @param {AbortSignal} signal */
export async function showSession(el, device, signal) {
  const { sessions } = await api.get("/v1/completeness", { params: { device }, signal });
  if (!sessions.length) return replace(el, h("p", { class: "muted" }, "No session yet."));
  const one = sessions[0];
  const asides = [
    [one.duplicate_batches, "sent twice"], [one.reordered_batches, "out of order"], [one.late_batches, "late"],
  ].filter(([n]) => n > 0).map(([n, what]) => `${plural(n, "batch", "batches")} ${what}`);
  if (one.dropped_readings) asides.push(`${plural(one.dropped_readings, "reading")} dropped by the device`);
  if (one.rejected_readings) asides.push(`${plural(one.rejected_readings, "reading")} refused`);
  const off = one.clock?.skewed ? one.clock.latest_offset_s ?? one.clock.offset_s : null;
  replace(el,
    h("p", null, `${plural(one.received_readings, "reading")} in ${plural(one.received_batches, "batch", "batches")}, `,
      one.missing_batches ? h("strong", { class: "bad" }, `${plural(one.missing_batches, "batch", "batches")} missing`) : h("strong", { class: "good" }, "none missing"), "."),
    asides.length ? h("p", { class: "small" }, `${asides.join("; ")}.`) : null,
    off !== null ? h("p", { class: "small warn" }, `Its clock is ${duration(Math.abs(off))} ${off > 0 ? "behind" : "ahead"}.`) : null,
    h("p", { class: "small muted" }, `Began ${ago(ms(one.first_received_ns))}; last batch ${ago(ms(one.last_received_ns))}. `,
      h("a", { href: address("completeness", { device }) }, sessions.length > 1 ? `All ${count(sessions.length)} sessions` : "Completeness")));
}
