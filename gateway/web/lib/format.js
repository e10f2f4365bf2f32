// Numbers, times and spans as a person reads them.

const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const UNITS = { "m/s2": "m/s²", uT: "µT", degC: "°C", deg: "°", 1: "" };

/** @param {string} unit  as the catalogue writes it */
export const unit = (unit) => /** @type {Record<string, string>} */ (UNITS)[unit] ?? unit;

/** Four significant digits at most, with the unit. @param {number | null | undefined} x @param {string} [unit_] */
export function number(x, unit_ = "") {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  const size = Math.abs(x);
  const text = size >= 10_000 ? WHOLE.format(x) : String(Number(x.toPrecision(4)));
  const shown = unit(unit_);
  return shown ? `${text.replace("-", "−")}\u202f${shown}` : text.replace("-", "−");
}

/** @param {number} n  a count */
export const count = (n) => WHOLE.format(n);

/** @param {number} n @param {string} one @param {string} [many] */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** @param {number} n  bytes */
export function bytes(n) {
  for (const [size, name] of /** @type {[number, string][]} */ ([[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]))
    if (n >= size) return `${number(n / size)} ${name}`;
  return `${n} B`;
}

/** A span, its largest unit or two. @param {number} s  seconds */
export function duration(s) {
  const size = Math.abs(s);
  if (size < 1) return `${Math.round(size * 1000)} ms`;
  if (size < 10) return `${size.toFixed(1)} s`;
  if (size < 120) return `${Math.round(size)} s`;
  if (size < 7200) return `${Math.round(size / 60)} min`;
  if (size < 172_800) return `${Math.round(size / 3600)} h`;
  return `${Math.round(size / 86_400)} days`;
}

/** How long ago. @param {number | null} ms  since the epoch @param {number} [now] */
export function ago(ms, now = Date.now()) {
  if (ms === null) return "never";
  const s = (now - ms) / 1000;
  if (s < -5) return `in ${duration(-s)}`;
  return s < 2 ? "now" : `${duration(s)} ago`;
}

/** A clock time, with the day when it is not today; local time. @param {number} ms @param {{seconds?: boolean}} [o] */
export function time(ms, { seconds = true } = {}) {
  const at = new Date(ms);
  const clock = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
  return at.toDateString() === new Date().toDateString() ? clock : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${clock}`;
}

/** The same to the millisecond. @param {number} ms */
export const exactTime = (ms) => `${time(ms)}.${String(Math.floor(ms % 1000)).padStart(3, "0")}`;

/** Nanoseconds of the API as milliseconds; a JS number holds them to a quarter of a microsecond. @param {number | null} ns */
export const ms = (ns) => (ns === null ? null : ns / 1e6);
