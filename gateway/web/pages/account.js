// The account: who one is, the password, how the pages look, and for an admin who may log in.

import { api } from "../lib/api.js";
import { h, replace, sheet, toast } from "../lib/dom.js";
import { ms, time } from "../lib/format.js";
import { passwordCard } from "./account/password.js";
import { peopleCard } from "./account/people.js";
import { ROLES } from "./account/roles.js";

export const title = "Account";

const THEMES = /** @type {const} */ ([["auto", "As the device"], ["light", "Light"], ["dark", "Dark"]]);

/** @param {HTMLElement} root @param {import("../app.js").Context} context */
export async function render(root, context) {
  await Promise.all(["account", "devices"].map((name) => sheet(`/assets/styles/${name}.css`)));
  const people = context.can("admin") ? await peopleCard(context) : null;
  replace(root,
    h("div", { class: "page-head" }, h("h1", null, "Account")),
    h("div", { class: "account" }, you(context.me), context.me.person && passwordCard(context.me), appearance(), people));
}

/** @param {any} me */
function you(me) {
  const out = h("button", { class: "button", onclick: () => logOut(out) }, "Log out");
  return h("section", { class: "card part", "aria-labelledby": "you" },
    h("h2", { id: "you" }, me.name, " ", h("span", { class: "chip accent" }, me.role)),
    h("p", null, `${me.role === "viewer" ? "A" : "An"} ${me.role} ${ROLES[/** @type {keyof ROLES} */ (me.role)]}.`),
    me.expires_ns && h("p", { class: "muted small" }, `You are logged in here until ${time(ms(me.expires_ns), { seconds: false })}.`),
    me.person && h("div", { class: "row" }, out));
}

/** @param {HTMLButtonElement} button */
async function logOut(button) {
  button.disabled = true;
  try {
    await api.post("/v1/logout");
    location.assign("/login");
  } catch (/** @type {any} */ error) {
    button.disabled = false;
    toast(`You are still logged in: ${error.detail ?? error}`, "bad");
  }
}

function appearance() {
  const theme = /** @type {any} */ (window).sensorlineTheme;
  const choices = THEMES.map(([wish, label]) =>
    h("label", { class: "choice" },
      h("input", { type: "radio", name: "theme", value: wish, checked: theme.get() === wish, onchange: () => theme.set(wish) }), label));
  return h("section", { class: "card part", "aria-labelledby": "looks" },
    h("h2", { id: "looks" }, "Appearance"),
    h("div", { class: "row choices", role: "radiogroup", "aria-labelledby": "looks" }, choices));
}
