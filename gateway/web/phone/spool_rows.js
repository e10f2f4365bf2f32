// The spool's rows within a transaction: which is the oldest, and what happens to one that must go.

import { got } from "./idb.js";
import { tombstone } from "./identity.js";
import * as policy from "./policy.js";

/** @typedef {import("./spool.js").Row} Row
 * @typedef {import("./spool.js").Totals} Totals */

/** @param {IDBTransaction} tx @param {IDBKeyRange | undefined} range @returns {Promise<Row | undefined>} */
export async function firstRow(tx, range) {
  return (await got(tx.objectStore("batches").getAll(range, 1)))[0];
}

/** The oldest batch from this key on that was certainly never sent. @param {IDBTransaction} tx @param {number[]} from */
export const oldestDroppable = (tx, from) => find(tx, from, policy.isDroppable);

/** @param {IDBTransaction} tx @param {number[]} from @param {(row: Row, is_first: boolean) => boolean} isIt */
async function find(tx, from, isIt) {
  let row = await firstRow(tx, IDBKeyRange.lowerBound(from));
  while (row && !isIt(row, await isFirst(tx, row)))
    row = await firstRow(tx, IDBKeyRange.lowerBound([row.ordinal, row.seq], true));
  return row;
}

/** Of its session. @param {IDBTransaction} tx @param {Row} row */
async function isFirst(tx, { ordinal, seq }) {
  if (seq === 0) return true; // and an empty range is an error
  return (await got(tx.objectStore("batches").getKey(IDBKeyRange.bound([ordinal, 0], [ordinal, seq], false, true)))) === undefined;
}

/** @param {IDBTransaction} tx @param {Totals} totals @param {Row} row */
export function add(tx, totals, row) {
  tx.objectStore("batches").add(row); // a seq that is there already fails the transaction
  totals.ordinal = Math.max(totals.ordinal, row.ordinal);
  totals.bytes += row.bytes.length + policy.ROW_BYTES;
  totals.batches += 1;
  totals.readings += row.readings;
  totals.oldest_ms ??= row.put_ms;
}

/** Put a tombstone in a batch's place. @param {IDBTransaction} tx @param {Totals} totals @param {Row} row @param {boolean} keeps_made */
export async function bury(tx, totals, row, keeps_made) {
  const bytes = new TextEncoder().encode(tombstone(row, row.readings, policy.DROPPED));
  tx.objectStore("batches").put({ ...row, kind: "tombstone", readings: 0, lost: row.readings, bytes, encoding: "" });
  totals.bytes += bytes.length - row.bytes.length;
  totals.readings -= row.readings;
  totals.tombstones += 1;
  totals.dropped_readings += row.readings;
  const made = keeps_made && (await got(tx.objectStore("made").get([row.session, row.seq])));
  if (made) tx.objectStore("made").put({ ...made, end: "dropped", reason: policy.DROPPED });
}

/** Forget the oldest tombstones when all of them take more than their share: their readings stay counted, under a name
 * that says that nobody was told. @param {IDBTransaction} tx @param {Totals} totals @param {number} max_bytes */
export async function boundTombstones(tx, totals, max_bytes) {
  while (policy.areTombstonesTooMany(totals.tombstones, max_bytes)) {
    const row = await find(tx, [0, 0], (one, is_first) => one.kind === "tombstone" && !is_first);
    if (!row) return;
    tx.objectStore("batches").delete([row.ordinal, row.seq]);
    totals.bytes -= row.bytes.length + policy.ROW_BYTES;
    totals.batches -= 1;
    totals.tombstones -= 1;
    totals.unannounced_readings += row.lost;
  }
}
