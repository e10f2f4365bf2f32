// A wait that something else may end.

export class Wake {
  /** @type {(() => void) | null} */ #end = null;
  #is_set = false;

  /** End the wait, or the next one at once. */
  set() {
    this.#is_set = true;
    this.#end?.();
  }

  /** What was said until now counts for no wait. */
  clear() {
    this.#is_set = false;
  }

  /** Until `set` or for so long. @param {number} wait_ms @returns {Promise<void>} */
  async wait(wait_ms) {
    if (!this.#is_set)
      await new Promise((done) => {
        const timer = setTimeout(done, Math.min(wait_ms, 2 ** 31 - 1));
        this.#end = () => {
          clearTimeout(timer);
          done(undefined);
        };
      });
    this.#end = null;
    this.#is_set = false;
  }
}
