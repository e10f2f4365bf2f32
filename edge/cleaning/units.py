"""A declared unit -> the catalogue's, as one scale and one offset; asked of `pint`, once, when a source is opened."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from telemetry.errors import Misconfigured
from telemetry.reading import Field

Reals: TypeAlias = npt.NDArray[np.float64]

# Written so in data, but something else (or nothing) to pint.
_SPELLINGS: Mapping[str, str] = {
    "": "dimensionless",
    "1": "dimensionless",
    "%": "percent",
    "c": "degC",
    "°c": "degC",
    "f": "degF",
    "°f": "degF",
    "deg/s": "degree/second",
    "°": "degree",
    "°/s": "degree/second",
    "dps": "degree/second",
    "kn": "knot",
    "kt": "knot",
    "kmh": "km/h",
    "kph": "km/h",
    "bpm": "1/min",
    "lux": "lx",
    "mmhg": "mmHg",
    "inhg": "inHg",
}
_OF_ACCELERATION: Mapping[str, str] = {"g": "standard_gravity", "mg": "millistandard_gravity"}  # not the gram
_POWER = re.compile(r"(?<=[A-Za-z])(-?[23])(?![A-Za-z0-9])")  # m/s2 -> m/s**2
_SAME_TO = 1e-9


@dataclass(frozen=True, slots=True)
class Conversion:
    """`value * scale + offset` is the value in the catalogue's unit."""

    scale: float
    offset: float

    def __call__(self, values: Reals) -> Reals:
        """Convert a whole column; NaN stays NaN."""
        return values * self.scale + self.offset


def conversion(unit: str | None, field: Field, path: str) -> Conversion | None:
    """From the declared unit to the field's, or None when nothing is to be done.

    Raises `Misconfigured` at `path`: a unit that is not known, one of another dimension, or pint is not installed.
    """
    if unit is None or unit.strip() == field.unit:
        return None
    if not field.kind.is_number or not field.unit:
        raise Misconfigured(f"{path}: {field.name} has no unit, so {unit!r} cannot be converted", path=path)
    try:
        return _linear(_spelled(unit, field.unit), _spelled(field.unit, field.unit))
    except Misconfigured as e:
        raise Misconfigured(f"{path}: {unit!r} -> {field.unit!r}: {e.message}", path=path) from e


def _spelled(unit: str, target: str) -> str:
    unit = unit.strip()
    if target == "m/s2" and unit in _OF_ACCELERATION:
        return _OF_ACCELERATION[unit]
    unit = _SPELLINGS.get(unit.lower(), unit) if unit not in ("C", "F") else _SPELLINGS[unit.lower()]
    return _POWER.sub(r"**\1", unit)


def _linear(unit: str, target: str) -> Conversion | None:
    """Both as pint writes them.  Two points make the line, a third one proves it."""
    try:
        quantity = _registry().Quantity
        with np.errstate(divide="ignore", invalid="ignore"):
            zero, one, hundred = (float(quantity(x, unit).to(target).magnitude) for x in (0.0, 1.0, 100.0))
    except Misconfigured:
        raise
    except Exception as e:  # pint raises its own, TokenError, AttributeError and more, for what people write as units
        raise Misconfigured(str(e).partition("\n")[0] or type(e).__name__) from e
    scale = one if zero == 0.0 else (hundred - zero) / 100.0
    if not abs(zero + scale - one) + abs(zero + 100.0 * scale - hundred) <= _SAME_TO * max(1.0, abs(hundred)):
        raise Misconfigured("this is no straight line (a logarithmic unit?)")
    return None if scale == 1.0 and zero == 0.0 else Conversion(scale, zero)


@cache
def _registry() -> Any:
    try:
        import pint  # noqa: PLC0415 - a second to import, for the few who declare another unit
    except ImportError as e:
        raise Misconfigured("pint is not installed: pip install 'sensorline[units]'") from e
    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
