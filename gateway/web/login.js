// The login page: a name and a password for a session, and then back to where one came from.

import { api, ApiError } from "./lib/api.js";
import { h, replace } from "./lib/dom.js";
import { wanted } from "./lib/next.js";

const LOOPBACK = /^(localhost\.?|127(\.\d+){3}|\[::1\])$/;

/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);
const [form, name, password, go, problem] = ["form", "name", "password", "go", "problem"].map(part);
let waiting = 0; // the timer of a wait that the station asked for

/** @param {SubmitEvent} event */
async function logIn(event) {
  event.preventDefault();
  if (go.getAttribute("aria-disabled") === "true") return;
  busy(true, "Logging in …");
  told();
  try {
    await api.post("/v1/login", { body: { name: name.value.trim(), password: password.value }, stay: true });
    location.replace(wanted(location.search, location.origin));
  } catch (error) {
    busy(false);
    failed(error);
  }
}

/** @param {any} error */
function failed(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 401) {
    told("Wrong name or password", "Check both: capitals matter, dashes too.");
    password.focus();
    password.select();
  } else if (error.status === 429) wait("Too many tries", Math.ceil(error.retry_after_s ?? 1));
  else if (error.status === 503) told("The station is not ready yet", `It says: ${error.detail}. Try again in a moment.`);
  else if (error.status === 403) told("The station refused this page", error.detail);
  else told("Logging in failed", error.detail);
}

/** Count down to when it may be tried again. @param {string} title @param {number} s */
function wait(title, s) {
  const until = Date.now() + s * 1000;
  const left = h("strong", { class: "num" });
  const tick = () => {
    const left_s = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    left.textContent = left_s < 120 ? `${left_s} s` : `${Math.ceil(left_s / 60)} min`;
    if (left_s > 0) return;
    clearInterval(waiting);
    busy(false);
    told("You can try again now");
  };
  busy(true, "Wait …");
  replace(problem, h("strong", null, title), h("p", null, "Logging in is possible again in ", h("span", { "aria-live": "off" }, left), "."));
  problem.hidden = false;
  clearInterval(waiting);
  waiting = window.setInterval(tick, 500);
  tick();
}

/** Say what went wrong and what to do; nothing clears it. @param {string} [title] @param {string} [text] */
function told(title, text) {
  replace(problem, title && h("strong", null, title), text && h("p", null, text));
  problem.hidden = !title;
}

/** The button keeps the focus while it cannot be pressed. @param {boolean} on @param {string} [text] */
function busy(on, text = "Log in") {
  go.setAttribute("aria-disabled", String(on));
  go.textContent = text;
}

/** Who opens this page and is logged in can just go on. */
async function already() {
  try {
    const me = await api.get("/v1/me", { stay: true });
    const on = h("a", { href: wanted(location.search, location.origin) }, "Go on");
    replace(part("already"), h("p", null, "You are logged in as ", h("strong", null, me.name), ". ", on));
    part("already").hidden = false;
  } catch (error) {
    if (error instanceof ApiError && error.status !== 401) failed(error);
  }
}

form.addEventListener("submit", logIn);
part("shown").addEventListener("change", (/** @type {any} */ event) => {
  password.type = event.target.checked ? "text" : "password";
});
part("plain").hidden = location.protocol === "https:" || LOOPBACK.test(location.hostname);
void already();
