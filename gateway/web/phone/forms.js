// The form that connects a phone by a code, at first and anew.

import { h, say } from "../lib/dom.js";

/** @param {string} id @param {string} button @param {(code: string) => Promise<string>} connect  "" or why not
 * @returns {{form: HTMLFormElement, submit: (code: string) => Promise<void>}} */
export function codeForm(id, button, connect) {
  const why = h("p", { class: "error", id: `${id}-why`, role: "alert" });
  const input = h("input", {
    id, name: "code", required: true, maxlength: 20, autocomplete: "off", autocapitalize: "characters", spellcheck: "false",
    placeholder: "K7QM-2XPD", "aria-describedby": `${id}-hint ${id}-why`, class: "mono code",
  });
  const go = h("button", { class: "button primary" }, button);
  const submit = async (/** @type {string} */ code) => {
    input.value = code;
    go.disabled = true;
    say(why, "");
    const refused = await connect(code);
    go.disabled = false;
    say(why, refused);
    if (refused) input.focus();
    else input.value = "";
  };
  const onSubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void submit(input.value.trim());
  };
  const form = h("form", { class: "field", onSubmit },
    h("label", { for: id }, "Code"),
    h("div", { class: "row code-row" }, input, go),
    h("p", { class: "hint", id: `${id}-hint` }, "Eight characters, good for ten minutes. Or scan the QR code with the camera."),
    why,
  );
  return { form, submit };
}
