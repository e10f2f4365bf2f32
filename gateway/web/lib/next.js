// Where the login page leads: back to a page of this station, and nowhere else.

/** The path in `?next=`, if it is one of ours; else the dashboard.  What a browser would read as another host
 * (`//host`, `/\host`, a scheme) is not, nor is the login page itself.
 * @param {string} search @param {string} origin  of the page @returns {string} */
export function wanted(search, origin) {
  const next = new URLSearchParams(search).get("next") ?? "/";
  try {
    const url = new URL(next, origin);
    const ours = url.origin === origin && next.startsWith("/") && url.pathname !== "/login";
    // Without the host: a path is all that is followed, and it must not begin like one.
    if (ours && !url.pathname.startsWith("//")) return url.pathname + url.search + url.hash;
  } catch {
    // no address at all
  }
  return "/";
}
