// Other people's libraries, loaded where they are needed: `await vendor("uplot")` makes window.uPlot.

import { sheet } from "./dom.js";

const FILES = {
  uplot: ["/assets/vendor/uplot/uPlot.iife.min.js", "/assets/vendor/uplot/uPlot.min.css"],
  leaflet: ["/assets/vendor/leaflet/leaflet.js", "/assets/vendor/leaflet/leaflet.css"],
};
/** @type {Map<string, Promise<void>>} */
const loading = new Map();

/** @param {keyof FILES} name @returns {Promise<void>} */
export function vendor(name) {
  const known = loading.get(name);
  if (known) return known;
  const [script, style] = FILES[name];
  const loaded = Promise.all([sheet(style), run(script)]).then(() => undefined);
  loading.set(name, loaded);
  loaded.catch(() => loading.delete(name)); // the next page tries again
  return loaded;
}

/** @param {string} src */
function run(src) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = () => done(undefined);
    script.onerror = () => failed(new Error(`${src} did not load`));
    document.head.append(script);
  });
}
