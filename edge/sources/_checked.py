"""One reading of a device, checked against the catalogue: also hardware says impossible things now and then.

An impossible value that went on would have the whole batch refused by the gateway.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from edge.cleaning.clean import Cleaned, Cleaner, Target, Wanted
from edge.cleaning.moments import TimeFormat
from telemetry.reading import CATALOGUE


def checked(sensor: str, t_ns: int, values: Mapping[str, Any], *, line: int = 0, text: str = "") -> Cleaned:
    """The reading, or the reason why there is none; a value that is None is absent."""
    columns: dict[str, list[Any]] = {"t": [t_ns], **{name: [value] for name, value in values.items()}}
    said = text or ", ".join(f"{name} {value}" for name, value in values.items())
    return _cleaner(sensor).columns(columns, [line], arrived_ns=t_ns, text=lambda _: said)


@cache
def _cleaner(sensor: str) -> Cleaner:
    known = CATALOGUE[sensor]
    numbers = tuple(Wanted(f, f.name) for f in known.fields if f.kind.is_number)
    return Cleaner([Target(known, numbers, time="t", written=TimeFormat("ns"))])
