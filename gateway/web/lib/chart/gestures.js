// How a hand moves a chart: wheel, drag with shift, one or two fingers, keys.

import { panned, zoomed } from "./window.js";

/** @typedef {import("./plot.js").View} View
 * @typedef {{view: () => View, go: (view: View) => void, home: () => void, end: () => void, live: () => void, step: (way: number, share?: number) => void, off: () => void}} Hands */

const WHEEL_PX = 400; // so many pixels of the wheel zoom by e
const KEY_ZOOM = 0.6;
const KEY_PAN = 0.2;
const KEY_STEP = 0.02;

/** uPlot's cursor: dragging chooses a span, with shift it moves along; a double click does nothing. @param {Hands} hands */
export function cursorOf(hands) {
  return {
    bind: {
      /** @param {any} u @param {HTMLElement} over @param {(e: MouseEvent) => void} choose */
      mousedown: (u, over, choose) => (/** @type {MouseEvent} */ event) => {
        if (event.button !== 0) return;
        if (event.shiftKey) drag(event, over, hands);
        else choose(event);
      },
      dblclick: () => null,
    },
  };
}

/** @param {MouseEvent} event @param {HTMLElement} over @param {Hands} hands */
function drag(event, over, hands) {
  const begin = hands.view();
  const x = event.clientX;
  const ended = new AbortController();
  addEventListener("mousemove", (now) => hands.go(panned(begin, (x - now.clientX) / over.clientWidth)), { signal: ended.signal });
  addEventListener("mouseup", () => ended.abort(), { signal: ended.signal, once: true });
}

/** @param {HTMLElement} over  the plot's own area @param {Hands} hands @param {AbortSignal} signal */
export function gestures(over, hands, signal) {
  over.addEventListener("wheel", (event) => wheel(event, over, hands), { passive: false, signal });
  over.style.touchAction = "pan-y"; // up and down scrolls the page
  /** @type {Map<number, number>} */
  const fingers = new Map(); // x by pointer
  /** @type {{view: View, middle: number, apart: number} | null} */
  let held = null;
  const hold = () => {
    const { middle, apart } = spread([...fingers.values()]);
    held = fingers.size ? { view: hands.view(), middle, apart } : null;
  };
  const x = (/** @type {PointerEvent} */ event) => event.clientX - over.getBoundingClientRect().left;
  over.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") return;
    fingers.set(event.pointerId, x(event));
    hold();
  }, { signal });
  over.addEventListener("pointermove", (event) => {
    if (!held || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, x(event));
    const { middle, apart } = spread([...fingers.values()]);
    const width = over.clientWidth;
    if (held.apart === 0 && Math.abs(held.middle - middle) < 4) return; // a tap
    const along = panned(held.view, (held.middle - middle) / width);
    const at = along.from + (middle / width) * (along.to - along.from);
    hands.go(held.apart > 0 && apart > 0 ? zoomed(along, held.apart / apart, at) : along);
  }, { signal });
  const up = (/** @type {PointerEvent} */ event) => {
    fingers.delete(event.pointerId);
    hold();
  };
  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) over.addEventListener(name, up, { signal });
}

/** @param {number[]} xs */
function spread(xs) {
  if (xs.length < 2) return { middle: xs[0] ?? 0, apart: 0 };
  return { middle: (xs[0] + xs[1]) / 2, apart: Math.max(20, Math.abs(xs[0] - xs[1])) };
}

/** @param {WheelEvent} event @param {HTMLElement} over @param {Hands} hands */
function wheel(event, over, hands) {
  event.preventDefault();
  const scale = event.deltaMode === 1 ? 16 : 1; // lines
  const view = hands.view();
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    return hands.go(panned(view, ((event.deltaX || event.deltaY) * scale) / over.clientWidth));
  }
  const { left, width } = over.getBoundingClientRect();
  const at = view.from + ((event.clientX - left) / width) * (view.to - view.from);
  hands.go(zoomed(view, Math.exp((event.deltaY * scale) / WHEEL_PX), at));
}

/** @param {HTMLElement} el  has the focus @param {Hands} hands @param {AbortSignal} signal */
export function keys(el, hands, signal) {
  /** @type {Record<string, () => void>} */
  const does = {
    "+": () => hands.go(zoomed(hands.view(), KEY_ZOOM)),
    "=": () => hands.go(zoomed(hands.view(), KEY_ZOOM)),
    "-": () => hands.go(zoomed(hands.view(), 1 / KEY_ZOOM)),
    ArrowLeft: () => hands.go(panned(hands.view(), -KEY_PAN)),
    ArrowRight: () => hands.go(panned(hands.view(), KEY_PAN)),
    ShiftArrowLeft: () => hands.step(-1, KEY_STEP),
    ShiftArrowRight: () => hands.step(1, KEY_STEP),
    ",": () => hands.step(-1),
    ".": () => hands.step(1),
    Escape: hands.off,
    Home: hands.home,
    End: hands.end,
    l: hands.live,
    L: hands.live,
  };
  el.addEventListener("keydown", (event) => {
    const act = does[`${event.shiftKey && event.key.startsWith("Arrow") ? "Shift" : ""}${event.key}`];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }, { signal });
}
