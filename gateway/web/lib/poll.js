// Asking again and again: one question at a time, none while the tab is hidden, none after one has left.

/**
 * Call `ask` now and `wait_ms` after each answer, until `signal` aborts.  A hidden tab rests; seen again, it asks at once
 * and `ask` is told how long it rested.
 * @param {(rested: boolean) => Promise<void>} ask  handles its own errors
 * @param {number} wait_ms @param {AbortSignal} signal @returns {() => void} ask at once
 */
export function poll(ask, wait_ms, signal) {
  let timer = 0;
  let isAsking = false;
  let isWanted = false;
  let rested = false;

  const again = async () => {
    clearTimeout(timer);
    if (isAsking) return void (isWanted = true);
    if (signal.aborted || document.hidden) return;
    isAsking = true;
    isWanted = false;
    await ask(rested).finally(() => (isAsking = false));
    rested = false;
    if (isWanted) return again();
    if (!signal.aborted) timer = window.setTimeout(() => void again(), wait_ms);
  };
  const seen = () => {
    rested = true;
    if (document.hidden) clearTimeout(timer);
    else void again();
  };
  document.addEventListener("visibilitychange", seen, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  void again();
  return () => void again();
}
