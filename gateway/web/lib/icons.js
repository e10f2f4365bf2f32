// Line drawings, 24 by 24, in the colour of the text.

import { h } from "./dom.js";

const PATHS = {
  fleet: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  map: "M12 21s-6-5.6-6-11a6 6 0 0 1 12 0c0 5.4-6 11-6 11zM12 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  anomalies: "M3 13h4l2.5-7 4 13 2.5-8 1.5 2H21",
  completeness: "M4 5h16v14H4zM8 12l3 3 5-6",
  pipeline: "M4 7h6v4H4zM14 13h6v4h-6zM10 9h4a3 3 0 0 1 3 3v1",
  devices: "M7 3h10v18H7zM10.5 18h3",
  account: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.6-6 8-6s8 2 8 6",
  more: "M4 12h1.5M11.25 12h1.5M18.5 12h1.5",
  battery: "M3 8h15v8H3zM21 11v2",
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14M16 5v14",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  check: "M5 13l5 5L20 7",
  cross: "M6 6l12 12M18 6L6 18",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

/** Decoration beside a text, never instead of one. @param {keyof PATHS} name @param {number} [size] */
export function icon(name, size = 20) {
  return h("svg:svg", { class: "icon", viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    h("svg:path", { d: PATHS[name] }));
}
