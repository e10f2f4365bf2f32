"""The latest row of each device and sensor, as every store gives it."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from telemetry.ports import Latest
from telemetry.reading import Kind
from telemetry.stores._tables import fields_of


def latest_of(device: str, sensor: str, t_ns: int, row: Mapping[str, Any]) -> Latest:
    """From a row's values by field; None and NaN are absent, a float has its field's precision."""
    values: dict[str, float | str | bool] = {}
    for field in fields_of(sensor):
        value = row.get(field.name)
        if value is None or value != value:  # noqa: PLR0124 - NaN
            continue
        values[field.name] = float(np.float32(value)) if field.kind is Kind.FLOAT32 else value
    return Latest(device, sensor, t_ns, values)


def in_order(found: Iterable[Latest]) -> list[Latest]:
    """By device, then sensor."""
    return sorted(found, key=lambda row: (row.device, row.sensor))
