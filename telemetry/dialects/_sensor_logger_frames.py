"""The app's units and frames -> ours (SI, Android's axes).

What differs, unless the phone is Android or the app standardises (the app's own cross-platform notes):

- acceleration, gravity and the uncalibrated accelerometer have the opposite sign on every axis;
- the uncalibrated accelerometer, and acceleration and gravity of the watch and the headphones, are in g
  (1 g = 9.80665 m/s2, standard gravity, CGPM 1901).  Of the headphones' gravity the app's notes disagree on the unit;
  its own length tells: it is 1 in g and 9.8 in m/s2;
- pitch and yaw turn the other way, roll the same way;
- gyroscopes agree.

Quaternions stay as they are.  On both platforms they follow the right-hand rule, as the gyroscope does; it is only
Android's angles that do not: its azimuth and pitch are measured against that rule (`SensorManager.getOrientation`).
So pitch and yaw of opposite sign are what Android would derive from the very same quaternion, and turning the
quaternion as well would set it against the angles and against the gyroscope.  Zero yaw (true or magnetic north, by
the x or the y axis) is not converted: standardising in the app does not either.

Nothing is converted for a phone whose platform is not known: what speaks for one platform is only hinted at.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from telemetry.batch import Series
from telemetry.dialects._sensor_logger_sensors import LAYOUTS, Layout
from telemetry.ports import Sender

STANDARD_GRAVITY = 9.80665
_FLIP = -1.0
_FLIP_G = -STANDARD_GRAVITY
_GRAVITY_IN_G_BELOW = 5.0  # between 1 and 9.8

Factors = Mapping[str, float]
_ANGLES: Factors = {"pitch": _FLIP, "yaw": _FLIP}
_XYZ = ("x", "y", "z")
_WORN: Factors = {
    **{f"{quantity}_{axis}": _FLIP_G for quantity in ("gravity", "acceleration") for axis in _XYZ},
    **_ANGLES,
}

_IOS: Mapping[str, Factors] = {
    **{name: dict.fromkeys(_XYZ, _FLIP) for name in ("linear_acceleration", "acceleration", "gravity")},
    "acceleration_uncalibrated": dict.fromkeys(_XYZ, _FLIP_G),
    "orientation": _ANGLES,
    "wrist_motion": _WORN,
    "headphone": _WORN,
}
_ALWAYS: Mapping[str, Factors] = {
    "battery": {"charging_current": 1e-3},
    "annotation": {"press_duration": 1e-3},
}
_IOS_SAYS: Mapping[str, str] = {
    **dict.fromkeys(("linear_acceleration", "acceleration", "gravity"), "ios frame -> android"),
    "acceleration_uncalibrated": "g -> m/s2, ios frame -> android",
    "orientation": "ios pitch and yaw -> android",
    "wrist_motion": "g -> m/s2, ios frame -> android",
    "headphone": "g -> m/s2, ios frame -> android",
}
_ALWAYS_SAYS: Mapping[str, str] = {"battery": "mA -> A", "annotation": "ms -> s"}

_NEGATIVE_IS_INVALID: Mapping[str, tuple[str, ...]] = {
    "location": (
        "speed",
        "bearing",
        "horizontal_accuracy",
        "vertical_accuracy",
        "speed_accuracy",
        "bearing_accuracy",
    ),
}

Table = npt.NDArray[np.float64]


def _column(layout: Layout, factors: Factors) -> Table:
    return np.array([factors.get(f.name, 1.0) for f in layout.numbers], np.float64).reshape(-1, 1)


_BY_NAME = {layout.sensor.name: layout for layout in LAYOUTS.values()}
_IOS_COLUMNS = {name: _column(_BY_NAME[name], factors) for name, factors in _IOS.items()}
_ALWAYS_COLUMNS = {name: _column(_BY_NAME[name], factors) for name, factors in _ALWAYS.items()}
_INVALID_ROWS = {name: [_BY_NAME[name].row(f) for f in fields] for name, fields in _NEGATIVE_IS_INVALID.items()}
_HEADPHONE_GRAVITY = [_BY_NAME["headphone"].row(f"gravity_{axis}") for axis in _XYZ]


def is_as_sent(layout: Layout, sender: Sender) -> bool:
    """True when this sensor's numbers need no look: no unit, frame or invalid value to see to."""
    name = layout.sensor.name
    return name not in _ALWAYS and name not in _INVALID_ROWS and not (_is_ios_frame(sender) and name in _IOS)


def convert(layout: Layout, table: Table, sender: Sender) -> tuple[Table, str | None]:
    """The table (fields, readings) in our units, and what was done to it.  NaN is absent."""
    name = layout.sensor.name
    if name in _INVALID_ROWS:
        rows = table[_INVALID_ROWS[name]]
        rows[rows < 0] = np.nan
        table[_INVALID_ROWS[name]] = rows
    if name in _ALWAYS:
        touched = ~np.isnan(table[_ALWAYS_COLUMNS[name][:, 0] != 1.0])
        return table * _ALWAYS_COLUMNS[name], f"{name}: {_ALWAYS_SAYS[name]}" if touched.any() else None
    if not (_is_ios_frame(sender) and name in _IOS):
        return table, None
    factors = _IOS_COLUMNS[name]
    if name == "headphone":
        factors = _headphone_factors(table, factors)
    touched = ~np.isnan(table[_IOS_COLUMNS[name][:, 0] != 1.0])
    # + 0.0: a flipped zero is zero, not -0.0, which has other bytes
    return table * factors + 0.0, f"{name}: {_IOS_SAYS[name]}" if touched.any() else None


def hints(series: Iterable[Series], sender: Sender) -> tuple[str, ...]:
    """What speaks for a platform, where none is known or for another than the known one."""
    found = []
    for one in series:
        if one.sensor in ("light", "acceleration") and sender.platform != "android":
            found.append(f"android: {one.sensor}")
        elif one.sensor in ("wrist_motion", "headphone") and sender.platform not in ("ios", "android"):
            found.append(f"ios: {one.sensor}")
        elif one.sensor == "gravity" and not sender.platform and (sign := _sign_when_flat(one)):
            found.append(f"{'android' if sign > 0 else 'ios'}: gravity along z, if the screen is up")
    return tuple(found)


def _is_ios_frame(sender: Sender) -> bool:
    return sender.platform == "ios" and not sender.standardised


def _headphone_factors(table: Table, factors: Table) -> Table:
    """As `factors`, but gravity that is in m/s2 already is only flipped; (fields, readings)."""
    each = np.repeat(factors, table.shape[1], axis=1)
    length = np.sqrt(np.square(table[_HEADPHONE_GRAVITY]).sum(axis=0))
    each[_HEADPHONE_GRAVITY] = np.where(length >= _GRAVITY_IN_G_BELOW, _FLIP, _FLIP_G)
    return each


def _sign_when_flat(gravity: Series) -> int:
    """+1 or -1 when gravity lies along z (within 10 degrees) in all of the readings, else 0."""
    z = gravity.values.get("z")
    if not isinstance(z, np.ndarray):
        return 0
    low, high = float(z.min()), float(z.max())
    flat = 0.985 * STANDARD_GRAVITY
    return 1 if low > flat else -1 if high < -flat else 0
