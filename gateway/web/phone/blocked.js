// Why the page cannot begin at all, and what mends it.

import { h, replace } from "../lib/dom.js";

/** @typedef {"insecure" | "unsupported" | "storage" | "other" | "gone"} Why */

const WORDS = /** @type {Record<Why, {title: string, text: string[], link?: [string, string]}>} */ ({
  insecure: {
    title: "This page needs https",
    text: [
      "Browsers give motion, position and offline storage to a page only over a connection that nobody can change.",
      "Open the same page by https. The station makes its own certificate with “sensorline up --https”.",
    ],
    link: ["/trust", "How this phone trusts the station"],
  },
  unsupported: {
    title: "This browser is too old",
    text: ["It lacks what keeps readings safe (IndexedDB and Web Locks). Update it, or use Chrome, Firefox or Safari 15.4 and newer."],
  },
  storage: {
    title: "This browser keeps nothing",
    text: ["Readings must be on the phone until the station has them, and the browser refuses to store them. Leave the private window, allow site data for this page, or free some room on the phone. Then reload."],
  },
  other: {
    title: "Another tab is this phone's recorder",
    text: ["Only one may be, or readings would be recorded twice. Go to that tab, or close it: this one then goes on by itself."],
  },
  gone: {
    title: "The stored data was removed",
    text: ["The browser or another page cleared it while this one was open. Reload, and connect again if you are asked."],
  },
});

/** @param {Element} root @param {Why} why */
export function blocked(root, why) {
  const { title, text, link } = WORDS[why];
  replace(
    root,
    h("section", { class: "card state", data: { tone: "bad", why }, "aria-labelledby": "blocked" },
      h("div", { role: "status" }, h("h2", { id: "blocked", class: "title" }, title)),
      text.map((one) => h("p", null, one)),
      link && h("p", null, h("a", { class: "button primary wide", href: link[0] }, link[1])),
    ),
  );
  root.removeAttribute("aria-busy");
}
