// What the station refused for good: listed with its reasons, to be sent again or deleted.

import { confirmed, h, replace, say } from "../lib/dom.js";
import { plural, time } from "../lib/format.js";

const FAILED = "The browser's storage failed, and nothing was changed. Try again.";
const batches = (/** @type {number} */ n) => plural(n, "batch", "batches");

/** @param {import("./edge.js").Edge} edge @returns {{part: HTMLElement, show: () => void}} */
export function refusedPart(edge) {
  const list = h("ul", { class: "aside" });
  const more = h("p", { class: "muted small" });
  const told = h("p", { role: "status", tabindex: "-1" });
  const doing = (/** @type {() => Promise<string>} */ work) => async () => {
    buttons.forEach((one) => (one.disabled = true));
    say(told, await work().catch(failed));
    buttons.forEach((one) => (one.disabled = false));
    show();
    if (section.hidden) told.focus(); // the button that was pressed is gone
  };
  const buttons = [
    h("button", { class: "button", type: "button", onClick: doing(() => again(edge)) }, "Send them again"),
    h("button", { class: "button danger", type: "button", onClick: doing(() => remove(edge)) }, "Delete them"),
  ];
  const section = h("section", { class: "refused", "aria-labelledby": "refused-title" },
    h("h2", { id: "refused-title" }, "Refused by the station"),
    h("p", { class: "muted small" }, "Kept on this phone, with the station's reasons. What is refused again comes back here."),
    list, more, h("div", { class: "row" }, buttons),
  );
  const show = () => {
    const { asides, totals } = edge.status();
    section.hidden = totals.aside_batches === 0;
    const older = totals.aside_batches - asides.length;
    more.hidden = older <= 0;
    say(more, older > 0 ? `and ${older} older` : "");
    const newest = asides.map(({ key }) => key).join();
    if (list.dataset.newest === newest) return;
    list.dataset.newest = newest;
    replace(list, asides.map((a) => h("li", null, h("b", null, `Batch ${a.seq}, ${time(a.at_ms)}`), ` ${plural(a.readings, "reading")}: ${a.reason}`)));
  };
  return { part: h("div", null, section, told), show };
}

/** @param {import("./edge.js").Edge} edge */
const again = async (edge) => `${batches(await edge.sendRefused())} will be sent again`;

/** @param {import("./edge.js").Edge} edge */
async function remove(edge) {
  const { asides, totals } = edge.status();
  if (!asides.length) return "";
  const text = h("p", null, `The station does not have their ${plural(totals.aside_readings, "reading")}: they are lost then.`);
  const title = `Delete ${batches(totals.aside_batches)}?`;
  if (!(await confirmed({ title, text, yes: "Delete", danger: true }))) return "";
  return `${batches(await edge.deleteRefused(asides[0].key))} deleted`; // one that came meanwhile was not asked about
}

/** @param {unknown} error */
function failed(error) {
  console.warn("the refused batches stay as they are:", error);
  return FAILED;
}
