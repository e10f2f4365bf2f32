// A batch's identity (device, session, seq), and the bytes that carry it.  Pure but for the random numbers.

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A new session's name: a ULID, so that names sort by time. @param {number} now_ms  UTC */
export function newSession(now_ms) {
  let time = "";
  for (let left = Math.max(0, Math.floor(now_ms)), k = 0; k < 10; k++, left = Math.floor(left / 32))
    time = CROCKFORD[left % 32] + time;
  const random = crypto.getRandomValues(new Uint8Array(16));
  return time + [...random].map((byte) => CROCKFORD[byte % 32]).join("");
}

/** @typedef {{device: string, session: string, seq: number}} Id */

/** @param {Id} id */
const head = ({ device, session, seq }) =>
  `{"v":1,"device":${JSON.stringify(device)},"session":${JSON.stringify(session)},"seq":${seq},`;

/** The text of a cut under its identity. @param {Id} id @param {import("./batcher.js").Cut} cut */
export const body = (id, cut) => head(id) + cut.tail;

/** The text that announces that so many readings were dropped under this seq. @param {Id} id @param {number} readings @param {string} reason */
export const tombstone = (id, readings, reason) =>
  `${head(id)}"series":[],"dropped":{"readings":${readings},"reason":${JSON.stringify(reason)}}}`;
