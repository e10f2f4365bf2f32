"""SenML's units -> the catalogue's: IANA registry "SenML Units" (RFC 8428, section 12.1; RFC 8798, section 2) and
"Secondary Units" (RFC 8798, section 3).

`%` is a ratio as `/` is, not a percentage, whatever its name suggests (RFC 8428, section 12.1, note 2); relative
humidity has `%RH` and a battery's level `%EL`, which are percentages.  Units outside the registries that have one
reading only (uT, mbar, degC) are understood too.  A record without a unit is in the catalogue's.
"""

import math
from collections.abc import Mapping

Linear = tuple[float, float]  # factor, then addend

_SAME: Linear = (1.0, 0.0)
_KELVIN_AT_ZERO_CELSIUS = 273.15

# The catalogue's unit: {SenML's: how to get there}.
CONVERSIONS: Mapping[str, Mapping[str, Linear]] = {
    "m/s2": {"m/s2": _SAME},
    "rad/s": {"rad/s": _SAME, "deg/s": (math.pi / 180, 0.0)},
    "rad": {"rad": _SAME, "deg": (math.pi / 180, 0.0)},
    "deg": {"deg": _SAME, "lat": _SAME, "lon": _SAME, "rad": (180 / math.pi, 0.0)},
    "uT": {"uT": _SAME, "T": (1e6, 0.0)},
    "m": {"m": _SAME, "mm": (1e-3, 0.0), "cm": (1e-2, 0.0), "km": (1e3, 0.0)},
    "m/s": {"m/s": _SAME, "km/h": (1 / 3.6, 0.0)},
    "hPa": {"hPa": _SAME, "Pa": (1e-2, 0.0), "mbar": _SAME},
    "1": {
        "1": _SAME,
        "/": _SAME,
        "%": _SAME,
        "count": _SAME,
        "/100": (1e-2, 0.0),
        "/1000": (1e-3, 0.0),
        "%EL": (1e-2, 0.0),
    },
    "%": {"%RH": _SAME, "/100": _SAME, "/": (100.0, 0.0), "%": (100.0, 0.0)},
    "V": {"V": _SAME, "mV": (1e-3, 0.0)},
    "A": {"A": _SAME, "mA": (1e-3, 0.0)},
    "dB": {"dB": _SAME},
    "dBm": {"dBm": _SAME, "dBW": (1.0, 30.0)},
    "lx": {"lx": _SAME},
    "1/min": {"1/min": _SAME, "beat/min": _SAME, "1/s": (60.0, 0.0), "Hz": (60.0, 0.0)},
    "degC": {"Cel": _SAME, "degC": _SAME, "K": (1.0, -_KELVIN_AT_ZERO_CELSIUS)},
    "s": {"s": _SAME, "ms": (1e-3, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0)},
    "MHz": {"MHz": _SAME, "Hz": (1e-6, 0.0)},
    "": {"/": _SAME, "%": _SAME, "1": _SAME},
}


def conversion(ours: str, theirs: str | None) -> Linear | None:
    """How a value of this SenML unit becomes the catalogue's; None when it is of another kind."""
    return _SAME if theirs is None else CONVERSIONS.get(ours, {}).get(theirs)


def spoken(ours: str) -> str:
    """The units that become this one, in words."""
    return ", ".join(CONVERSIONS.get(ours, {}))
