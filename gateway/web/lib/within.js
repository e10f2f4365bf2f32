// Moves within a page: the address changes, the page stays, and the shell does not draw it anew.

import { place } from "../app.js";

/** Address of a page of the dashboard; what is null or empty is left out.
 * @param {string} path  `anomalies/<id>` @param {Record<string, string | null | undefined>} [query] */
export function address(path, query = {}) {
  const said = new URLSearchParams(Object.entries(query).filter(([, value]) => value).map(([name, value]) => [name, String(value)]));
  return `#/${path.split("/").map(encodeURIComponent).join("/")}${said.size ? `?${said}` : ""}`;
}

/** Tell `moved` when the address changes and still names this page (a link, Back), until `signal` aborts.
 * @param {string} name @param {(at: {params: string[], query: URLSearchParams}) => void} moved @param {AbortSignal} signal */
export function within(name, moved, signal) {
  const heard = (/** @type {HashChangeEvent} */ event) => {
    if (!event.newURL) return; // the shell's own "Try again"
    const at = place();
    if (at.name !== name) return;
    event.stopImmediatePropagation(); // capturing comes first: the shell listens in the bubbling phase
    moved(at);
  };
  addEventListener("hashchange", heard, { capture: true, signal });
}

/** The address says this from now on; nobody is told, and Back does not stop here. @param {string} to */
export const amend = (to) => history.replaceState(history.state, "", to);
