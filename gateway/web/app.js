// The dashboard's shell: who is logged in, which page the address names, and what every page is given.

import { api, ApiError, isAborted } from "./lib/api.js";
import { h, replace, restSheets, say } from "./lib/dom.js";
import { icon } from "./lib/icons.js";
import { isWithin } from "./lib/within.js";

/**
 * What a page's `render(root, context)` is given.  `signal` aborts when one leaves it.
 * @typedef {{params: string[], query: URLSearchParams, signal: AbortSignal, me: {name: string, role: string, person: boolean}, web: {version: string, tile_url: string, tile_attribution: string, kibana_url: string}, can: (role: string) => boolean, link: (state: string) => void}} Context
 */

const ROLES = ["viewer", "operator", "admin"];
// On a phone the first four have room; the others are behind "More".
const PAGES = /** @type {const} */ ([
  ["", "Fleet", "fleet"],
  ["map", "Map", "map"],
  ["anomalies", "Anomalies", "anomalies"],
  ["devices", "Devices", "devices"],
  ["completeness", "Completeness", "completeness"],
  ["pipeline", "Pipeline", "pipeline"],
  ["account", "Account", "account"],
]);
const FIRST = 4;
const MODULES = new Set(["fleet", "device", "map", "anomalies", "devices", "completeness", "pipeline", "account"]);

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));
const linkState = /** @type {HTMLElement} */ (document.getElementById("link"));
let leaving = new AbortController();

/** The page's name, its arguments and its query, as the address says. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...params] = path.split("/").map(decodeURIComponent);
  return { name: name || "fleet", params, query: new URLSearchParams(query) };
}

/** @param {any} me @param {any} web */
async function show(me, web) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, params, query } = place();
  replace(main);
  restSheets();
  mark(name);
  link("");
  if (name === "more") return more();
  if (!MODULES.has(name)) return unknown();
  const root = h("div", { class: `page page-${name}`, "aria-busy": "true" });
  replace(main, root);
  scrollTo(0, 0);
  try {
    const page = await import(`./pages/${name}.js`);
    document.title = `${typeof page.title === "function" ? page.title(params) : page.title} · Sensorline`;
    const can = (/** @type {string} */ role) => ROLES.indexOf(me.role) >= ROLES.indexOf(role);
    await page.render(root, { params, query, signal, me, web, can, link });
  } catch (error) {
    if (signal.aborted || isAborted(error)) return;
    console.error(error);
    replace(root, failed(error));
  } finally {
    if (!signal.aborted) root.removeAttribute("aria-busy");
  }
}

/** What stands in place of a page that could not be shown. @param {any} error */
export function failed(error) {
  const text = error instanceof ApiError ? error.detail : "This page failed; the browser's console has the details.";
  return h("div", { class: "notice bad", role: "alert" },
    h("h1", null, "This page could not be shown"),
    h("p", null, text),
    h("button", { class: "button primary", onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) }, "Try again"));
}

function unknown() {
  replace(main, h("div", { class: "notice" }, h("h1", null, "There is no such page"), h("p", null, h("a", { href: "#/" }, "To the fleet"))));
}

function more() {
  document.title = "More · Sensorline";
  replace(main, h("div", { class: "page" }, h("h1", null, "More"), h("ul", { class: "cards" }, PAGES.slice(FIRST).map(([path, label, drawn]) =>
    h("li", null, h("a", { class: "card link-card", href: `#/${path}` }, icon(drawn), label))))));
}

/** The state of the live stream, in the rail: "live", "reconnecting", or nothing. @param {string} state */
function link(state) {
  const words = { connected: "Live", reconnecting: "Reconnecting …" };
  linkState.dataset.state = state;
  say(linkState, /** @type {Record<string, string>} */ (words)[state] ?? "");
}

/** @param {string} name */
function mark(name) {
  const here = { device: "", fleet: "" }[name] ?? name;
  const behind = PAGES.slice(FIRST).some(([path]) => path === here);
  for (const a of nav.querySelectorAll("a")) {
    const to = a.getAttribute("href")?.slice(2);
    if (to === here || (to === "more" && behind)) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
}

function drawNav() {
  const items = PAGES.map(([path, label, drawn], k) =>
    h("li", { class: k < FIRST ? null : "wide-only" }, h("a", { href: `#/${path}` }, icon(drawn), h("span", null, label))));
  items.push(h("li", { class: "narrow-only" }, h("a", { href: "#/more" }, icon("more"), h("span", null, "More"))));
  replace(nav, h("ul", null, items));
}

async function start() {
  drawNav();
  try {
    const [me, web] = await Promise.all([api.get("/v1/me"), api.get("/v1/web")]);
    let first = true;
    const go = (/** @type {Event | undefined} */ event = undefined) => {
      if (isWithin(event, place())) return;
      void show(me, web);
      if (!first) main.focus({ preventScroll: true });
      first = false;
    };
    addEventListener("hashchange", go);
    go();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return; // on the way to the login page
    replace(main, failed(error));
    main.querySelector("button")?.addEventListener("click", () => location.reload());
  }
}

void start();
