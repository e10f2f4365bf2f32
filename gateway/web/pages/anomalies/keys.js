// The inbox by keyboard: letters act only while the focus is in the list or the details, never while one writes.

/** @type {Record<string, string>} */
const SAYINGS = { c: "confirm", d: "dismiss", s: "seen", u: "undo" };
/** @type {Record<string, number>} */
const STEPS = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };

/** @param {HTMLElement} root @param {{step: (by: number) => void, say: (saying: string, id?: string) => void, close: () => void}} acts @param {AbortSignal} signal */
export function keys(root, acts, signal) {
  const heard = (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
    const finding = /** @type {HTMLElement | null} */ (target.closest("a.finding"));
    const isIn = finding !== null || target.closest(".details") !== null;
    const isArrow = event.key.startsWith("Arrow");
    if (event.key in STEPS && (isArrow ? finding : isIn || target.contains(root))) {
      event.preventDefault();
      acts.step(STEPS[event.key]);
    } else if (event.key in SAYINGS && isIn) {
      event.preventDefault();
      acts.say(SAYINGS[event.key], finding?.dataset.id);
    } else if (event.key === "Escape" && isIn) acts.close();
  };
  document.addEventListener("keydown", heard, { signal });
}
