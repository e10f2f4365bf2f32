// What a browser can measure, as the station's catalogue (telemetry/reading.py) knows it: fields in its order, with
// their precision and plausible range.  A test compares the two.

/** @typedef {{name: string, kind: "float32"|"float64"|"text", low?: number, high?: number}} Field */

/** @param {"float32"|"float64"} kind @returns {(name: string, low: number, high: number) => Field} */
const number = (kind) => (name, low, high) => ({ name, kind, low, high });
const f32 = number("float32");
const f64 = number("float64");
const xyz = (/** @type {number} */ bound) => ["x", "y", "z"].map((axis) => f32(axis, -bound, bound));

/** @type {Readonly<Record<string, Field[]>>} */
export const SENSORS = {
  acceleration: xyz(4000),
  linear_acceleration: xyz(4000),
  gyroscope: xyz(200),
  orientation: [
    ...["pitch", "roll", "yaw"].map((angle) => f32(angle, -100, 100)),
    ...["qx", "qy", "qz", "qw"].map((part) => f32(part, -100, 100)),
  ],
  location: [
    f64("latitude", -90, 90),
    f64("longitude", -180, 180),
    f64("altitude", -12_000, 1_000_000),
    f32("speed", 0, 12_000),
    f32("bearing", 0, 360),
    f32("horizontal_accuracy", 0, 1e8),
    f32("vertical_accuracy", 0, 1e8),
  ],
  battery: [f32("level", 0, 1), { name: "state", kind: "text" }],
};
