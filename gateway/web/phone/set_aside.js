// Batches that the station refused for good: kept with its reason for a person, within a bound, and sent again on
// demand.  Each function works within a transaction.

import { got } from "./idb.js";
import * as policy from "./policy.js";
import { add as putIn, firstRow } from "./spool_rows.js";

/** @typedef {import("./spool.js").Row} Row
 * @typedef {import("./spool.js").Totals} Totals
 * @typedef {Row & {reason: string, at_ms: number}} Refused */

/** As the newest; the oldest go when that is too much.
 * @param {IDBTransaction} tx @param {Totals} totals @param {Row} row @param {string} reason @param {number} at_ms */
export async function add(tx, totals, row, reason, at_ms) {
  const { keep: _, ...own } = row;
  tx.objectStore("aside").put({ ...own, reason, at_ms });
  count(totals, row, 1);
  await bound(tx, totals, policy.ASIDE_BYTES_MAX);
}

/** The newest, newest first, each with its key. @param {IDBTransaction} tx @param {number} limit @returns {Promise<(Refused & {key: number})[]>} */
export async function listed(tx, limit) {
  const aside = tx.objectStore("aside");
  const keys = (await got(aside.getAllKeys())).slice(-limit).reverse();
  return Promise.all(keys.map(async (key) => ({ ...(await got(aside.get(key))), key })));
}

/** All of them, where they were and as they were; the rows.
 *
 * They were sent, and so may what stands behind them have been: none of it may be dropped.
 * @param {IDBTransaction} tx @param {Totals} totals @param {boolean} keeps_made @returns {Promise<Row[]>} */
export async function putBack(tx, totals, keeps_made) {
  const batches = tx.objectStore("batches");
  const refused = /** @type {Refused[]} */ (await got(tx.objectStore("aside").getAll()));
  tx.objectStore("aside").clear();
  for (const ordinal of new Set(refused.map((one) => one.ordinal))) {
    const first = await firstRow(tx, IDBKeyRange.bound([ordinal, 0], [ordinal + 1, 0], false, true));
    if (first) batches.put({ ...first, keep: true });
  }
  for (const { reason: _, at_ms: __, ...row } of refused) {
    count(totals, row, -1);
    putIn(tx, totals, { ...row, keep: true });
    totals.tombstones += Number(row.kind === "tombstone");
    const made = keeps_made && (await got(tx.objectStore("made").get([row.session, row.seq])));
    if (made) tx.objectStore("made").put({ ...made, end: "", reason: "" });
  }
  totals.oldest_ms = (await firstRow(tx, undefined))?.put_ms ?? null;
  return refused;
}

/** Those up to this key are lost, as their person wants it; how many. @param {IDBTransaction} tx @param {Totals} totals @param {number} key */
export async function removeTo(tx, totals, key) {
  const range = IDBKeyRange.upperBound(key);
  const refused = /** @type {Refused[]} */ (await got(tx.objectStore("aside").getAll(range)));
  tx.objectStore("aside").delete(range);
  for (const row of refused) count(totals, row, -1);
  return refused.length;
}

/** @param {IDBTransaction} tx @param {Totals} totals @param {number} max_bytes */
async function bound(tx, totals, max_bytes) {
  const aside = tx.objectStore("aside");
  while (totals.aside_bytes > max_bytes && totals.aside_batches > 1) {
    const [key] = await got(aside.getAllKeys(undefined, 1));
    const row = /** @type {Row} */ (await got(aside.get(key)));
    aside.delete(key);
    count(totals, row, -1);
    totals.unannounced_readings += row.readings;
    totals.dropped_readings += row.readings;
  }
}

/** @param {Totals} totals @param {Row} row @param {1 | -1} by */
function count(totals, row, by) {
  totals.aside_batches += by;
  totals.aside_readings += by * row.readings;
  totals.aside_bytes += by * row.bytes.length;
}
