// What is dropped when the spool is full.  Pure.
//
// The oldest batch that was certainly never sent goes, and a tombstone stands for its seq.  Batches are sent in order and
// one at a time, so only the first of a session may have been sent without an answer: it may be stored, and a tombstone
// would contradict it.  So the first of each session stays, and so does what a person had put back to be sent again.

export const SIZE_BYTES_MAX = 256 * 1024 * 1024;
export const SIZE_BYTES_MIN = 32 * 1024;
export const ASIDE_BYTES_MAX = 4 * 1024 * 1024;
export const DROPPED = "spool_full";
export const ROW_BYTES = 200; // what a batch takes beside its body, about
const QUOTA_SHARE = 0.5; // of what the browser lets this address keep
const TOMBSTONES_SHARE = 0.25; // of the limit: announcing must not eat what it is about

/** Bytes that the spool may take. @param {number | undefined} quota_bytes @param {number | undefined} wish_bytes */
export function limit(quota_bytes, wish_bytes) {
  const share = quota_bytes === undefined ? SIZE_BYTES_MAX : quota_bytes * QUOTA_SHARE;
  return Math.max(SIZE_BYTES_MIN, Math.min(wish_bytes ?? SIZE_BYTES_MAX, share));
}

/** @param {number} used @param {number} need @param {number} max  bytes */
export const isFull = (used, need, max) => used + need > max;

/** May this row be dropped? @param {{kind: string, keep?: true}} row @param {boolean} is_first  of its session */
export const isDroppable = (row, is_first) => row.kind === "batch" && !row.keep && !is_first;

/** Must the oldest tombstone be forgotten? @param {number} tombstones @param {number} max_bytes */
export const areTombstonesTooMany = (tombstones, max_bytes) => tombstones * 2 * ROW_BYTES > max_bytes * TOMBSTONES_SHARE;
