// Keeps the phone page's own files on the phone, so that it opens without a network.  Never anything under /v1.
//
// The files are one set: they are served from the copy that was taken together.  Whenever the page is opened, all of them
// are asked for anew (their ETags make that cheap); when one has changed, a new set is taken whole, and the next opening
// has it.

const NAMES = "sensorline-phone-";
const LOADED_MS = 3000;
const FILES = [
  "/phone",
  "/manifest.webmanifest",
  "/assets/theme.js",
  "/assets/icon.svg",
  "/assets/icon-192.png",
  "/assets/styles/base.css",
  "/assets/styles/phone.css",
  "/assets/lib/dom.js",
  "/assets/lib/format.js",
  ...[
    "axes", "backoff", "batcher", "blocked", "catalogue", "clock", "decide", "edge", "forms", "gauge", "idb", "identity",
    "keeper", "lanes", "main", "numbers", "packing", "policy", "recorder", "refused", "screen", "sender", "sensors",
    "set_aside", "settings", "spool", "spool_rows", "station", "ui", "view", "waiting",
  ].map((name) => `/assets/phone/${name}.js`),
];

self.addEventListener("install", (event) => {
  self.skipWaiting(); // it is the same page, and a worker that waits serves nobody
  event.waitUntil(renew());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const is_ours = url.origin === location.origin && FILES.includes(url.pathname) && event.request.method === "GET";
  if (!is_ours) return; // as if there were no worker
  if (event.request.mode === "navigate") event.waitUntil(later().catch(() => {})); // without a network the copy stays
  event.respondWith(kept(url.pathname).then((copy) => copy ?? fetch(event.request)));
});

/** @param {string} path */
async function kept(path) {
  const name = await current();
  return name ? (await caches.open(name)).match(path) : undefined;
}

/** The newest set's name; the marker goes in last, so a set that has one is whole. */
async function current() {
  for (const name of (await names()).reverse()) if (await (await caches.open(name)).match("/whole")) return name;
  return undefined;
}

const names = async () => (await caches.keys()).filter((name) => name.startsWith(NAMES)).sort();

/** Once the page has loaded: a load takes all its files from one set. */
async function later() {
  await new Promise((done) => setTimeout(done, LOADED_MS));
  await renew();
}

/** Take a new set if anything changed; all or nothing.  One at a time, of this worker and of one that comes after it: each
 * removes what is not its own. */
const renew = () => navigator.locks.request("sensorline-phone-copy", take);

async function take() {
  const answers = await Promise.all(FILES.map((path) => fetch(path, { cache: "no-cache", credentials: "omit", redirect: "error" })));
  const bad = answers.find((answer) => !answer.ok);
  if (bad) throw new Error(`${bad.url} was answered with ${bad.status}`);
  const version = JSON.stringify(answers.map((answer) => answer.headers.get("etag")));
  const old = await current();
  const marker = old && (await (await caches.open(old)).match("/whole"));
  if (marker && (await marker.text()) === version) return;
  const name = NAMES + String(Date.now()).padStart(15, "0");
  const set = await caches.open(name);
  await Promise.all(FILES.map((path, k) => set.put(path, answers[k])));
  await set.put("/whole", new Response(version));
  for (const other of await names()) if (other !== name) await caches.delete(other);
}
