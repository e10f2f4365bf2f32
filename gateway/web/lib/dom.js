// Builds the page: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.  Props: `class`, `on<event>` handlers, `data` and `style` as objects, booleans as attributes that are
 * there or not, everything else as an attribute.  Children: elements, texts, numbers, lists; null and false are nothing.
 * @param {string} tag  `svg:path` makes an element of SVG
 * @param {Record<string, any> | null} [props]
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const el = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name === "data") Object.assign(el.dataset, value);
    else if (name === "style") Object.assign(el.style, value);
    else if (name === "value" && "value" in el) /** @type {any} */ (el).value = value;
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  add(el, children);
  return el;
}

/** @param {Node} el @param {any} children */
function add(el, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    el.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Put these children in place of what is in `el`. @param {Element} el @param {...any} children */
export function replace(el, ...children) {
  const made = document.createDocumentFragment();
  add(made, children);
  el.replaceChildren(made);
}

/** Set an element's text only when it changed: what did not change is not read out again. @param {Element} el @param {any} text */
export function say(el, text) {
  const now = String(text);
  if (el.textContent !== now) el.textContent = now;
}

/** A style sheet of a page, once; it holds while the page stands. @param {string} href */
export function sheet(href) {
  const known = [...document.styleSheets].filter((s) => s.href?.endsWith(href));
  for (const one of known) one.disabled = false;
  if (known.length) return Promise.resolve();
  return new Promise((done) => {
    const link = h("link", { rel: "stylesheet", href, onload: done, onerror: done, data: href.startsWith("/assets/styles/") ? { page: "" } : {} });
    document.head.append(link);
  });
}

/** The sheets of the page that was left rest: two pages may mean different things by one class. */
export function restSheets() {
  for (const link of /** @type {NodeListOf<HTMLLinkElement>} */ (document.head.querySelectorAll("link[data-page]"))) {
    if (link.sheet) link.sheet.disabled = true;
    else link.remove(); // on its way still
  }
}

/** Ask before something that cannot be undone; true when it was confirmed.
 * @param {{title: string, text: any, yes: string, danger?: boolean}} asked @returns {Promise<boolean>} */
export function confirmed({ title, text, yes, danger = false }) {
  return new Promise((done) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title", class: "dialog" },
      h("form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        h("div", { class: "dialog-text" }, text),
        h("div", { class: "row end" },
          h("button", { value: "no", class: "button" }, "Cancel"),
          h("button", { value: "yes", class: danger ? "button danger" : "button primary" }, yes),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A short word at the page's edge, read out. @param {string} text @param {"good"|"bad"} [tone] */
export function toast(text, tone = "good") {
  const box = document.getElementById("told");
  const one = h("p", { class: `toast ${tone}` }, text);
  box?.append(one);
  setTimeout(() => one.remove(), tone === "bad" ? 10_000 : 5_000);
}
