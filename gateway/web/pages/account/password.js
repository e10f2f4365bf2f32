// One's own password: the old one, and a new one that a password manager may make up.

import { api, ApiError } from "../../lib/api.js";
import { h, say, toast } from "../../lib/dom.js";
import { duration } from "../../lib/format.js";

const CHARS_MIN = 12; // as the station asks for

/** @param {{name: string}} me */
export function passwordCard(me) {
  const old = field("old", "Current password", "current-password");
  const fresh = field("new", "New password", "new-password", `${CHARS_MIN} characters or more; a few words are fine.`);
  const button = h("button", { class: "button primary", type: "submit" }, "Change password");
  const form = h("form", { class: "fields" },
    // For password managers, which ask whose password this is.
    h("input", { class: "sr", type: "text", name: "username", autocomplete: "username", value: me.name, readonly: true, tabindex: "-1", "aria-hidden": "true" }),
    old.el, fresh.el,
    h("p", { class: "muted small" }, "Everywhere else you are logged out then."),
    h("div", { class: "row" }, button));
  form.addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    old.error(), fresh.error();
    if (old.input.value === "") return old.error("Type it once more: others may be at this screen.");
    if ([...fresh.input.value].length < CHARS_MIN) return fresh.error(`It has ${[...fresh.input.value].length} characters; ${CHARS_MIN} are needed.`);
    button.disabled = true;
    try {
      await api.post("/v1/me/password", { body: { old: old.input.value, new: fresh.input.value } });
      form.reset();
      toast("Password changed; you are logged out everywhere else");
    } catch (error) {
      refused(error, old, fresh);
    } finally {
      button.disabled = false;
    }
  });
  return h("section", { class: "card part", "aria-labelledby": "password-title" }, h("h2", { id: "password-title" }, "Password"), form);
}

/** @param {any} error @param {ReturnType<typeof field>} old @param {ReturnType<typeof field>} fresh */
function refused(error, old, fresh) {
  if (!(error instanceof ApiError)) throw error;
  if (error.path === "$.old") old.error("That is not your password.");
  else if (error.status === 429) old.error(`Too many wrong tries: wait ${duration(error.retry_after_s ?? 1)}.`);
  else if (error.path === "$.new") fresh.error(`The station does not take it: ${error.detail}.`);
  else fresh.error(error.detail);
}

/** @param {string} name @param {string} label @param {string} autocomplete @param {string} [hint] */
function field(name, label, autocomplete, hint) {
  const id = `password-${name}`;
  const input = h("input", { id, name, type: "password", autocomplete, "aria-describedby": `${id}-hint ${id}-error` });
  const wrong = h("p", { id: `${id}-error`, class: "error", role: "alert" });
  return {
    input,
    el: h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { id: `${id}-hint`, class: "hint" }, hint), wrong),
    /** @param {string} [text] */
    error(text = "") {
      say(wrong, text);
      input.setAttribute("aria-invalid", String(text !== ""));
      if (text) input.focus();
    },
  };
}
