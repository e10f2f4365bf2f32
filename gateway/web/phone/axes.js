// What the browser's events say -> the catalogue's sensors: SI units, Android's axes (x right, y up along the screen, z
// out of it).  Pure.
//
// The W3C's events have Android's axes: a phone that lies on its back says z = +9.8 m/s2.  WebKit on iOS hands on Core
// Motion's numbers, where both accelerations have the opposite sign; its rotation rate and its orientation agree with
// everybody's.  All browsers on iOS are WebKit, and say so in `navigator.vendor`; an iPad may call itself a Macintosh,
// which has no touch screen, and no motion sensors either.  The user agent's name is not asked: it is often a lie.

/** True where accelerations have Core Motion's sign. @param {{vendor: string, maxTouchPoints: number}} navigator */
export const isInverted = ({ vendor, maxTouchPoints }) => vendor.startsWith("Apple") && maxTouchPoints > 0;

const RAD = Math.PI / 180;
/** @typedef {[sensor: string, values: Record<string, number | string | null>]} Reading */

/** @param {any} v @param {number} factor */
const scaled = (v, factor) => (typeof v === "number" ? v * factor : null);

/** The readings of a DeviceMotionEvent; what it does not have is not there.
 * @param {{accelerationIncludingGravity?: any, acceleration?: any, rotationRate?: any}} event @param {boolean} inverted
 * @returns {Reading[]} */
export function motion(event, inverted) {
  const sign = inverted ? -1 : 1;
  const vector = (/** @type {any} */ v, /** @type {string[]} */ names, /** @type {number} */ factor) => ({
    x: scaled(v?.[names[0]], factor),
    y: scaled(v?.[names[1]], factor),
    z: scaled(v?.[names[2]], factor),
  });
  /** @type {Reading[]} */
  const readings = [
    ["acceleration", vector(event.accelerationIncludingGravity, ["x", "y", "z"], sign)],
    ["linear_acceleration", vector(event.acceleration, ["x", "y", "z"], sign)],
    ["gyroscope", vector(event.rotationRate, ["alpha", "beta", "gamma"], RAD)], // about x, y, z, in degrees a second
  ];
  return readings.filter(([, values]) => Object.values(values).some((v) => v !== null));
}

/** The reading of a DeviceOrientationEvent (intrinsic z-x'-y'' degrees), or null.
 * The quaternion turns the device's axes into the world's.  Pitch, roll and yaw are what Android's
 * `SensorManager.getOrientation` makes of the same rotation: it measures yaw and pitch against the right-hand rule.
 * Where yaw is zero is the browser's choice: mostly where the phone pointed when it began.
 * @param {{alpha?: number | null, beta?: number | null, gamma?: number | null}} event @returns {Reading | null} */
export function orientation({ alpha, beta, gamma }) {
  if (typeof beta !== "number" || typeof gamma !== "number") return null;
  const heading = typeof alpha === "number" ? alpha * RAD : 0; // pitch and roll do not depend on it
  const [cx, sx] = [Math.cos(beta * RAD), Math.sin(beta * RAD)];
  const [cy, sy] = [Math.cos(gamma * RAD), Math.sin(gamma * RAD)];
  const angles = { pitch: Math.asin(clamped(-sx)), roll: Math.atan2(cx * sy, cx * cy) };
  if (typeof alpha !== "number") return ["orientation", angles];
  const yaw = Math.atan2(-cx * Math.sin(heading), cx * Math.cos(heading));
  return ["orientation", { ...angles, yaw, ...quaternion(heading, beta * RAD, gamma * RAD) }];
}

const clamped = (/** @type {number} */ x) => Math.max(-1, Math.min(1, x));

/** @param {number} alpha @param {number} beta @param {number} gamma  radians */
function quaternion(alpha, beta, gamma) {
  const [cz, sz, cx, sx, cy, sy] = [alpha, beta, gamma].flatMap((a) => [Math.cos(a / 2), Math.sin(a / 2)]);
  return {
    qx: sx * cy * cz - cx * sy * sz,
    qy: cx * sy * cz + sx * cy * sz,
    qz: cx * cy * sz + sx * sy * cz,
    qw: cx * cy * cz - sx * sy * sz,
  };
}

/** The reading of a position. @param {any} coords  GeolocationCoordinates @returns {Reading} */
export const location = (coords) => [
  "location",
  {
    latitude: coords.latitude,
    longitude: coords.longitude,
    altitude: coords.altitude,
    speed: coords.speed,
    bearing: coords.heading, // null or NaN while standing
    horizontal_accuracy: coords.accuracy,
    vertical_accuracy: coords.altitudeAccuracy,
  },
];

/** The reading of a BatteryManager. @param {{level: number, charging: boolean}} battery @returns {Reading} */
export const battery = ({ level, charging }) => [
  "battery",
  { level, state: charging ? (level >= 1 ? "full" : "charging") : "unplugged" },
];
