// Numbers as the batch's text: the shortest that keeps the declared precision.  Pure.

const DIGITS_ALWAYS_KEPT = 6; // a float32 keeps any decimal of so many digits
const DIGITS_ENOUGH = 9; // and so many tell any two float32 apart

/** The shortest text of the float32 nearest to `x`: 0.1, and not 0.10000000149011612. @param {number} x */
export function float32(x) {
  const kept = Math.fround(x);
  for (let digits = DIGITS_ALWAYS_KEPT; digits < DIGITS_ENOUGH; digits++) {
    const short = Number(kept.toPrecision(digits));
    if (Math.fround(short) === kept) return String(short);
  }
  return String(Number(kept.toPrecision(DIGITS_ENOUGH)));
}

/** JSON text of a field's value; "null" for what is absent, no number, or outside of what is plausible: one senseless
 * value would have the whole batch refused.
 * @param {import("./catalogue.js").Field} field @param {any} value */
export function text(field, value) {
  if (field.kind === "text") return typeof value === "string" ? JSON.stringify(value) : "null";
  if (typeof value !== "number" || !Number.isFinite(value)) return "null";
  const x = field.kind === "float32" ? Math.fround(value) : value; // ranges hold for what is stored
  if (x < /** @type {number} */ (field.low) || x > /** @type {number} */ (field.high)) return "null";
  return field.kind === "float32" ? float32(value) : String(value);
}

/** Nanoseconds of whole microseconds: a time has 19 digits, and a number holds 16. @param {number} t_us */
export const nanoseconds = (t_us) => String(BigInt(t_us) * 1000n);
