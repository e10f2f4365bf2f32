// Keeps the screen on while recording: a browser stops the sensors of a page that nobody sees.

export class Screen {
  /** @type {WakeLockSentinel | null} */ #lock = null;
  #is_wanted = false;
  is_refused = false;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#hold()); // the browser lets go when the page is hidden
  }

  keep() {
    this.#is_wanted = true;
    return this.#hold();
  }

  async release() {
    this.#is_wanted = false;
    await this.#lock?.release();
    this.#lock = null;
  }

  async #hold() {
    if (!this.#is_wanted || document.visibilityState !== "visible" || (this.#lock && !this.#lock.released)) return;
    try {
      const lock = await navigator.wakeLock.request("screen");
      this.is_refused = false;
      if (this.#is_wanted && (this.#lock?.released ?? true)) this.#lock = lock;
      else await lock.release(); // it was stopped meanwhile, or asked for twice
    } catch {
      this.is_refused = true; // not there, or the battery is low: said on the page, and recording goes on
    }
  }
}
