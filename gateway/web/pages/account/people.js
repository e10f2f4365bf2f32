// Who may log in, and as what: an admin adds people, changes roles, gives new passwords, and ends access.

import { api } from "../../lib/api.js";
import { confirmed, h, replace, say, toast } from "../../lib/dom.js";
import { ms, time } from "../../lib/format.js";
import { copyable } from "../devices/show.js";
import { ROLES } from "./roles.js";

const NAME = "[A-Za-z0-9_.\\-]{1,64}";

/** @typedef {{name: string, role: string, created_ns: number, changed_ns: number}} Person */

/** @param {import("../../app.js").Context} context */
export async function peopleCard(context) {
  const card = new People(context);
  await card.load();
  return card.el;
}

class People {
  /** @param {import("../../app.js").Context} context */
  constructor({ me, signal }) {
    this.me = me;
    this.signal = signal;
    this.given = h("div", { role: "status" });
    this.rows = h("tbody", null);
    const columns = ["Name", "Role", "Added", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "sr" }, "Actions")));
    this.el = h("section", { class: "card part people", "aria-labelledby": "people" },
      h("h2", { id: "people" }, "People"),
      h("p", { class: "muted small" }, "Everybody who may log in. Programs and scripts use operators' keys instead."),
      this.given,
      h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, columns)), this.rows)),
      this.#form());
  }

  async load() {
    const { people } = await api.get("/v1/people", { signal: this.signal });
    replace(this.rows, people.map((/** @type {Person} */ person) => this.#row(person)));
  }

  /** @param {Person} person */
  #row(person) {
    const isMe = this.me.person && person.name === this.me.name;
    const role = roles(person.role, { "aria-label": `Role of ${person.name}` });
    role.addEventListener("change", () => this.#change(person, role));
    return h("tr", null,
      h("th", { scope: "row" }, person.name, isMe && h("span", { class: "chip" }, "you")),
      h("td", null, role),
      h("td", { class: "muted nowrap" }, time(ms(person.created_ns), { seconds: false })),
      h("td", null, h("div", { class: "row end" },
        !isMe && h("button", { class: "button small", "aria-label": `New password for ${person.name}`, onclick: () => this.#reset(person) }, "New password"),
        h("button", { class: "button small danger", "aria-label": `Remove ${person.name}`, onclick: () => this.#remove(person, isMe) }, "Remove"))));
  }

  #form() {
    const name = h("input", { id: "person-name", name: "person", required: true, maxlength: 64, pattern: NAME, autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": "person-hint person-error" });
    const role = roles("viewer", { id: "person-role" });
    const wrong = h("p", { id: "person-error", class: "error", role: "alert" });
    const form = h("form", { class: "add" },
      h("div", { class: "field" }, h("label", { for: "person-name" }, "Name"), name),
      h("div", { class: "field" }, h("label", { for: "person-role" }, "Role"), role),
      h("button", { class: "button primary", type: "submit" }, "Add"),
      h("p", { id: "person-hint", class: "muted small hint" }, ""), wrong);
    const hint = form.querySelector(".hint");
    const explain = () => say(hint, `Letters, digits, dot, dash and underscore. ${capital(role.value)}: ${ROLES[/** @type {keyof ROLES} */ (role.value)]}.`);
    role.addEventListener("change", explain);
    explain();
    form.addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      say(wrong, "");
      try {
        const added = await api.post("/v1/people", { body: { name: name.value, role: role.value } });
        name.value = "";
        this.#show(added.name, added.password);
        await this.load();
      } catch (/** @type {any} */ error) {
        say(wrong, error.detail ?? String(error));
        name.focus();
      }
    });
    return h("div", { class: "fields" }, h("h3", null, "Add a person"), form);
  }

  /** @param {Person} person @param {HTMLSelectElement} role */
  async #change(person, role) {
    const isMe = this.me.person && person.name === this.me.name;
    const sure = !isMe || (await confirmed({ title: `Be only ${role.value}?`, text: "You cannot take that back yourself: another admin must.", yes: "Change my role", danger: true }));
    const done = sure && (await this.#try(() => api.patch(`/v1/people/${encodeURIComponent(person.name)}`, { body: { role: role.value } })));
    if (!done) role.value = person.role;
    else if (isMe) location.reload();
    else {
      person.role = role.value;
      toast(`${person.name} is ${role.value} from now on`);
    }
  }

  /** @param {Person} person */
  async #reset(person) {
    const text = `${person.name} is logged out everywhere, and the password until now opens nothing any more.`;
    if (!(await confirmed({ title: `A new password for ${person.name}?`, text, yes: "New password" }))) return;
    const given = await this.#try(() => api.post(`/v1/people/${encodeURIComponent(person.name)}/password`));
    if (given) this.#show(given.name, given.password);
  }

  /** @param {Person} person @param {boolean} isMe */
  async #remove(person, isMe) {
    const text = isMe ? "You are logged out at once." : `${person.name} is logged out everywhere at once. What was done stays in the audit trail.`;
    if (!(await confirmed({ title: `Remove ${person.name}?`, text, yes: "Remove", danger: true }))) return;
    if (!(await this.#try(() => api.delete(`/v1/people/${encodeURIComponent(person.name)}`)))) return;
    replace(this.given);
    toast(`${person.name} may not log in any more`);
    await this.load();
  }

  /** The password, this once. @param {string} name @param {string} password */
  #show(name, password) {
    replace(this.given, h("div", { class: "notice warn" },
      h("h3", null, `${name}'s password`),
      h("p", null, "It is shown this once. Hand it over in person; it can be changed here, under Account."),
      copyable("Password", password),
      copyable("Log in at", `${location.origin}/login`),
      h("button", { class: "button small", onclick: () => replace(this.given) }, "Done")));
    this.given.scrollIntoView({ block: "nearest" });
  }

  /** What the station answers, or null when it refused, which is said. @param {() => Promise<any>} work */
  async #try(work) {
    try {
      return await work();
    } catch (/** @type {any} */ error) {
      toast(`Nothing was changed: ${error.detail ?? error}`, "bad");
      return null;
    }
  }
}

/** @param {string} chosen @param {Record<string, any>} props @returns {HTMLSelectElement} */
function roles(chosen, props) {
  return h("select", props, Object.keys(ROLES).map((role) => h("option", { value: role, selected: role === chosen }, role)));
}

/** @param {string} word */
const capital = (word) => word[0].toUpperCase() + word.slice(1);
