// IndexedDB with promises.

const NAME = "sensorline-phone";
const VERSION = 1;

/** The stores: `batches` by [ordinal of the session, seq]; `aside`; `made`, for proofs; `state`, single values by name. */
export const STORES = ["batches", "aside", "made", "state"];

/** Open the database.  Rejects where the browser keeps nothing, as some do in private windows.
 * @param {() => void} onGone  the browser threw the data away, or another version of the page wants it @returns {Promise<IDBDatabase>} */
export function open(onGone) {
  return new Promise((done, failed) => {
    const asked = indexedDB.open(NAME, VERSION);
    asked.onupgradeneeded = () => {
      const db = asked.result;
      db.createObjectStore("batches", { keyPath: ["ordinal", "seq"] });
      db.createObjectStore("aside", { autoIncrement: true });
      db.createObjectStore("made", { keyPath: ["session", "seq"] });
      db.createObjectStore("state");
    };
    asked.onerror = () => failed(asked.error);
    asked.onsuccess = () => {
      const db = asked.result;
      db.onclose = onGone;
      db.onversionchange = () => {
        db.close();
        onGone();
      };
      done(db);
    };
  });
}

/** A request's result. @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
export const got = (request) =>
  new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });

/** Do `work` in one transaction over all stores; resolves when it is committed, rejects when nothing of it happened.
 * `strict` waits for the disk.  Nothing but requests of this transaction may be awaited in `work`.
 * @template T @param {IDBDatabase} db @param {"strict"|"relaxed"} durability @param {(tx: IDBTransaction) => Promise<T>} work
 * @returns {Promise<T>} */
export async function change(db, durability, work) {
  const tx = db.transaction(STORES, "readwrite", { durability });
  const ended = new Promise((done, failed) => {
    tx.oncomplete = () => done(undefined);
    tx.onabort = () => failed(tx.error ?? new DOMException("the transaction was given up", "AbortError"));
  });
  ended.catch(() => {}); // who awaits it below hears of it
  let result;
  try {
    result = await work(tx);
  } catch (error) {
    try {
      tx.abort();
    } catch {
      // it had ended by itself
    }
    throw tx.error ?? error;
  }
  await ended;
  return result;
}

/** One value of `state`. @param {IDBDatabase} db @param {string} name @returns {Promise<any>} */
export const read = (db, name) => got(db.transaction("state").objectStore("state").get(name));

/** @param {IDBDatabase} db @param {string} name @param {any} value */
export const write = (db, name, value) =>
  change(db, "strict", (tx) => got(tx.objectStore("state").put(value, name)));
