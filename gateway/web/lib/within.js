// Moves within a page: the address changes, the page stays, and the shell does not draw it anew.

/** Address of a page of the dashboard; what is null or empty is left out.
 * @param {string} path  `anomalies/<id>` @param {Record<string, string | null | undefined>} [query] */
export function address(path, query = {}) {
  const said = new URLSearchParams(Object.entries(query).filter(([, value]) => value).map(([name, value]) => [name, String(value)]));
  return `#/${path.split("/").map(encodeURIComponent).join("/")}${said.size ? `?${said}` : ""}`;
}

/** @typedef {{name: string, params: string[], query: URLSearchParams}} At
 * @type {{name: string, moved: (at: At) => void} | null} */
let here = null;

/** Tell `moved` when the address changes and still names this page (a link, Back), until `signal` aborts.
 * @param {string} name @param {(at: At) => void} moved @param {AbortSignal} signal */
export function within(name, moved, signal) {
  const mine = (here = { name, moved });
  signal.addEventListener("abort", () => {
    if (here === mine) here = null;
  });
}

/** For the shell: whether the page that stands takes this move itself.  What the shell asks for ("Try again") is no move.
 * @param {Event | undefined} event @param {At} at */
export function isWithin(event, at) {
  if (here?.name !== at.name || !(event instanceof HashChangeEvent) || !event.newURL) return false;
  here.moved(at);
  return true;
}

/** The address says this from now on; nobody is told, and Back does not stop here.  Only what follows the path changes:
 * a page that one is leaving by a link, of which the shell has not heard yet, would take the click back. @param {string} to */
export function amend(to) {
  if (pathOf(location.hash) === pathOf(to)) history.replaceState(history.state, "", to);
}

/** @param {string} hash */
const pathOf = (hash) => decodeURIComponent(hash.replace(/^#\/?/, "").split("?")[0]);
