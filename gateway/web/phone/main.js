// The phone page's start: what stands in the way is said, and only one tab becomes the edge.

import { isInverted } from "./axes.js";
import { blocked } from "./blocked.js";
import { Edge } from "./edge.js";
import { open } from "./idb.js";
import { build } from "./ui.js";

const LOCK = "sensorline-edge";
const UPDATE_MS = 500;

/** The code in the address's fragment, which leaves the address bar and the history at once. */
function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

/** Resolves when this tab is the only edge of this browser; it stays so until the tab is closed. @param {Element} root */
async function alone(root) {
  const held = (/** @type {LockOptions} */ options) =>
    new Promise((done) => {
      void navigator.locks.request(LOCK, options, (lock) => {
        done(lock !== null);
        return lock ? new Promise(() => {}) : undefined; // never given back
      });
    });
  if (await held({ ifAvailable: true })) return;
  blocked(root, "other");
  await held({});
}

/** @param {Element} root @param {string | null} code */
async function start(root, code) {
  if (!window.isSecureContext) return blocked(root, "insecure");
  if (!navigator.locks || !window.indexedDB) return blocked(root, "unsupported");
  await alone(root);
  const edge = await opened(root);
  if (!edge) return blocked(root, "storage");
  await edge.run();
  const { update, connectBy } = build(edge, root, { is_ios: isInverted(navigator) });
  setInterval(update, UPDATE_MS);
  const connect = async (/** @type {string | null} */ one) => {
    if (one) await connectBy(one);
    update();
  };
  addEventListener("hashchange", () => void connect(takeCode())); // another QR code, scanned into the open page
  await connect(code);
}

/** @param {Element} root */
async function opened(root) {
  try {
    const db = await open(() => blocked(root, "gone"));
    return await Edge.open(db, new URLSearchParams(location.search).has("ledger"));
  } catch (error) {
    console.warn("the browser's storage cannot be opened:", error);
    return null;
  }
}

/** So that the page opens without a network; where the browser refuses, it works all the same while there is one. */
async function keepOffline() {
  try {
    await navigator.serviceWorker?.register("/sw.js", { scope: "/phone", updateViaCache: "none" });
  } catch (error) {
    console.warn("this page will not open without a network:", error);
  }
}

void keepOffline();
void start(/** @type {Element} */ (document.getElementById("page")), takeCode());
