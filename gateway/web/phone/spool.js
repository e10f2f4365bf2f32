// The spool: what was recorded is on this phone's disk until the station has acknowledged it.  Bounded.
//
// Guarantee: a batch that `head` gives was committed with its seq; its bytes never change, and its id is never used
// again.  Nothing leaves but acknowledged, set aside with its reason (from where a person may put it back, or delete it),
// or dropped by policy: counted, and announced by a tombstone for its seq.  One page at a time (a Web Lock), and in it one
// change after the other.

import { body, tombstone } from "./identity.js";
import { change, got, read } from "./idb.js";
import { pack } from "./packing.js";
import * as policy from "./policy.js";
import * as set_aside from "./set_aside.js";
import { add, bury, boundTombstones, firstRow, oldestDroppable } from "./spool_rows.js";

/** @typedef {{ordinal: number, seq: number, device: string, session: string, kind: "batch" | "tombstone", readings: number,
 *   lost: number, bytes: Uint8Array<ArrayBuffer>, encoding: string, put_ms: number, epoch: string, keep?: true}} Row
 * @typedef {typeof NOTHING} Totals
 * @typedef {"live" | "backlog"} Lane */

export const NOTHING = {
  ordinal: 0, // of the newest session
  bytes: 0,
  batches: 0, // tombstones among them
  tombstones: 0,
  readings: 0,
  aside_batches: 0,
  aside_readings: 0,
  aside_bytes: 0,
  dropped_readings: 0, // ever
  unannounced_readings: 0, // of these, whose tombstone had to go, or which were set aside and had to go
  oldest_ms: /** @type {number | null} */ (null),
  last_receipt: /** @type {{session: string, seq: number, readings: number, at_ms: number} | null} */ (null),
};

export class Spool {
  /** @param {IDBDatabase} db @param {{size_bytes_max: number, keeps_made: boolean}} options */
  static async open(db, options) {
    return new Spool(db, options, { ...NOTHING, ...(await read(db, "totals")) });
  }

  /** @param {IDBDatabase} db @param {{size_bytes_max: number, keeps_made: boolean}} options @param {Totals} totals */
  constructor(db, { size_bytes_max, keeps_made }, totals) {
    this.db = db;
    this.size_bytes_max = size_bytes_max;
    this.keeps_made = keeps_made;
    this.totals = totals;
    this.session = "";
    this.device = "";
    this.live_batches = 0;
    this.onChange = () => {};
  }

  #turn = Promise.resolve();
  #next_seq = 0;
  #epoch = "";
  #drop_from = [0, 0]; // no batch before this key can be dropped
  #is_new = true;
  #room_bytes = Infinity; // that the disk has

  /** Number what comes from now on under a new session; what there is becomes backlog.  A session's ordinal is taken with
   * its first batch. @param {string} device @param {string} session @param {string} epoch  of the clock that stamps it */
  begin(device, session, epoch) {
    return this.#inTurn(async () => {
      Object.assign(this, { device, session, live_batches: 0 });
      this.#epoch = epoch;
      this.#next_seq = 0;
      this.#is_new = true;
      this.onChange();
    });
  }

  /** Make a cut a batch.  Resolves when it is on disk; rejects when nothing of it is.
   * @param {import("./batcher.js").Cut} cut @param {number} now_ms  wall @param {boolean} hurry */
  put(cut, now_ms, hurry) {
    return this.#inTurn(async () => {
      const id = { device: this.device, session: this.session, seq: this.#next_seq };
      const text = body(id, cut);
      const row = this.#row("batch", id.seq, cut.readings, now_ms, await pack(text, hurry));
      await this.#change("strict", async (tx, totals) => {
        if (!(await this.#makeRoom(tx, totals, row.bytes.length + policy.ROW_BYTES)))
          return this.#announce(tx, totals, cut.readings, now_ms);
        add(tx, totals, row);
        if (this.keeps_made) tx.objectStore("made").put({ ...id, readings: cut.readings, body: text, end: "" });
      });
      this.#taken();
    });
  }

  /** Announce readings that were lost before they had a seq. @param {number} readings @param {number} now_ms */
  putGap(readings, now_ms) {
    return this.#inTurn(async () => {
      await this.#change("strict", async (tx, totals) => this.#announce(tx, totals, readings, now_ms));
      this.#taken();
    });
  }

  /** The lane's oldest row. @param {Lane} lane @returns {Promise<Row | undefined>} */
  head(lane) {
    return this.#inTurn(async () => {
      const row = await firstRow(this.db.transaction("batches"), this.#range(lane));
      if (lane === "live" && !row) this.live_batches = 0; // a count may be off by a tombstone that was forgotten
      return row;
    });
  }

  /** The station has it. @param {Row} row @param {number} now_ms */
  free(row, now_ms) {
    return this.#inTurn(() =>
      this.#change("relaxed", async (tx, totals) => {
        if (!(await this.#leave(tx, totals, row, "acknowledged", ""))) return;
        totals.last_receipt = { session: row.session, seq: row.seq, readings: row.readings, at_ms: now_ms };
      }),
    );
  }

  /** Refused for good: keep it apart for a person. @param {Row} row @param {string} reason @param {number} now_ms */
  setAside(row, reason, now_ms) {
    return this.#inTurn(() =>
      this.#change("strict", async (tx, totals) => {
        if (!(await this.#leave(tx, totals, row, "set_aside", reason))) return;
        await set_aside.add(tx, totals, row, reason, now_ms);
      }),
    );
  }

  /** The newest that were set aside, newest first. @param {number} limit */
  asides(limit) {
    return set_aside.listed(this.db.transaction("aside"), limit);
  }

  /** Put what was set aside back to its place, as it was; how many batches. */
  retryAsides() {
    return this.#inTurn(async () => {
      const rows = await this.#change("strict", (tx, totals) => set_aside.putBack(tx, totals, this.keeps_made));
      this.live_batches += rows.filter((row) => row.session === this.session).length;
      this.onChange();
      return rows.length;
    });
  }

  /** Lose what was set aside, up to this key of `asides`; how many batches. @param {number} key */
  deleteAsides(key) {
    return this.#inTurn(() => this.#change("strict", (tx, totals) => set_aside.removeTo(tx, totals, key)));
  }

  /** Forget everything that is kept here. */
  clear() {
    return this.#inTurn(() =>
      this.#change("strict", async (tx, totals) => {
        for (const name of ["batches", "aside", "made"]) tx.objectStore(name).clear();
        Object.assign(totals, NOTHING, { ordinal: totals.ordinal });
        this.live_batches = 0;
      }),
    );
  }

  /** Keep no more than there is, until `restore`: the disk has no more room. */
  shrink() {
    this.#room_bytes = Math.floor(this.totals.bytes * 0.95);
  }

  restore() {
    this.#room_bytes = Infinity;
  }

  /** @param {Lane} lane */
  #range(lane) {
    const live_from = this.#is_new ? this.totals.ordinal + 1 : this.totals.ordinal;
    return lane === "live" ? IDBKeyRange.lowerBound([live_from, 0]) : IDBKeyRange.upperBound([live_from, 0], true);
  }

  /** @param {Row["kind"]} kind @param {number} seq @param {number} readings @param {number} put_ms
   * @param {import("./packing.js").Packed} packed @returns {Row} */
  #row(kind, seq, readings, put_ms, packed) {
    const ordinal = this.#is_new ? this.totals.ordinal + 1 : this.totals.ordinal;
    const { device, session } = this;
    return { ordinal, seq, device, session, kind, readings, lost: 0, ...packed, put_ms, epoch: this.#epoch };
  }

  /** Under the next seq. @param {IDBTransaction} tx @param {Totals} totals @param {number} lost @param {number} now_ms */
  #announce(tx, totals, lost, now_ms) {
    const id = { device: this.device, session: this.session, seq: this.#next_seq };
    const bytes = new TextEncoder().encode(tombstone(id, lost, policy.DROPPED));
    const row = { ...this.#row("tombstone", id.seq, 0, now_ms, { bytes, encoding: "" }), lost };
    add(tx, totals, row);
    totals.tombstones += 1;
    totals.dropped_readings += lost;
  }

  /** @param {IDBTransaction} tx @param {Totals} totals @param {number} need */
  async #makeRoom(tx, totals, need) {
    while (policy.isFull(totals.bytes, need, Math.min(this.size_bytes_max, this.#room_bytes))) {
      const row = await oldestDroppable(tx, this.#drop_from);
      if (!row) return false;
      this.#drop_from = [row.ordinal, row.seq];
      await bury(tx, totals, row, this.keeps_made);
    }
    await boundTombstones(tx, totals, this.size_bytes_max);
    return true;
  }

  /** False when it is not here any more.
   * @param {IDBTransaction} tx @param {Totals} totals @param {Row} row @param {string} end @param {string} reason */
  async #leave(tx, totals, row, end, reason) {
    const batches = tx.objectStore("batches");
    if (!(await got(batches.getKey([row.ordinal, row.seq])))) return false; // forgotten while it was on its way
    batches.delete([row.ordinal, row.seq]);
    totals.bytes -= row.bytes.length + policy.ROW_BYTES;
    totals.batches -= 1;
    totals.readings -= row.readings;
    totals.tombstones -= Number(row.kind === "tombstone");
    totals.oldest_ms = (await firstRow(tx, undefined))?.put_ms ?? null;
    const made = this.keeps_made && row.kind === "batch" && (await got(tx.objectStore("made").get([row.session, row.seq])));
    if (made) tx.objectStore("made").put({ ...made, end, reason });
    if (row.session === this.session) this.live_batches -= 1;
    return true;
  }

  #taken() {
    this.#next_seq += 1;
    this.#is_new = false;
    this.live_batches += 1;
    this.onChange();
  }

  /** The totals change with the transaction, or not at all.
   * @template T @param {"strict"|"relaxed"} durability @param {(tx: IDBTransaction, totals: Totals) => T} work
   * @returns {Promise<Awaited<T>>} */
  async #change(durability, work) {
    const totals = { ...this.totals };
    const result = await change(this.db, durability, async (tx) => {
      const done = await work(tx, totals);
      await got(tx.objectStore("state").put(totals, "totals"));
      return done;
    });
    this.totals = totals;
    return result;
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  #inTurn(work) {
    const done = this.#turn.then(work);
    this.#turn = done.then(
      () => undefined,
      () => undefined, // told to its caller; the next one has its turn all the same
    );
    return done;
  }
}
