"""What the Sensor Logger app would export of a simulated device: a zip of CSVs, or one JSON array."""

import csv
import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from simulator.world import World
from telemetry.batch import Series

START_NS = 1_700_000_000_000_000_000
NAMES = {
    "linear_acceleration": "Accelerometer",
    "acceleration": "TotalAcceleration",
    "gravity": "Gravity",
    "gyroscope": "Gyroscope",
    "magnetometer": "Magnetometer",
    "orientation": "Orientation",
    "location": "Location",
    "battery": "Battery",
}
FIELDS = {
    "horizontal_accuracy": "horizontalAccuracy",
    "vertical_accuracy": "verticalAccuracy",
    "speed_accuracy": "speedAccuracy",
    "bearing_accuracy": "bearingAccuracy",
}
BATTERY = {"level": "batteryLevel", "state": "batteryState", "low_power": "lowPowerMode"}
# An iPhone's axes of acceleration are the other way round, and so are pitch and yaw.
OF_IPHONE = {
    **{(name, axis): -1.0 for name in ("linear_acceleration", "acceleration", "gravity") for axis in "xyz"},
    ("orientation", "pitch"): -1.0,
    ("orientation", "yaw"): -1.0,
}


def world_series(seconds: int, behaviour: str = "walk", seed: int = 7) -> dict[str, list[Series]]:
    """A device's readings by sensor, a series a second."""
    world = World(seed, behaviour, START_NS)
    found: dict[str, list[Series]] = {}
    for k in range(seconds):
        for series in world.chunk(k):
            found.setdefault(series.sensor, []).append(series)
    return found


def tables(found: dict[str, list[Series]], platform: str) -> dict[str, list[dict[str, str]]]:
    """Rows of texts by the app's sensor name, newest field first as the app has it."""
    return {NAMES[s]: [row for one in series for row in _rows(one, platform)] for s, series in found.items()}


def metadata(platform: str, standardised: bool = False) -> dict[str, str]:
    return {
        "version": "3",
        "device name": "a phone",
        "recording epoch time": str(START_NS // 10**6),
        "platform": platform,
        "sensors": "Accelerometer|Gravity",
        "standardisation": str(standardised).lower(),
    }


def write_zip(path: Path, rows: dict[str, list[dict[str, str]]], about: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for sensor, table in {**rows, "Metadata": [about]}.items():
            archive.writestr(f"{sensor}.csv", csv_text(table))
        archive.writestr("Microphone.mp4", b"\0\1\2")
    return path


def write_json(path: Path, rows: dict[str, list[dict[str, str]]], about: dict[str, str]) -> Path:
    array = [{"sensor": "Metadata", **about}]
    array += [{"sensor": sensor, **row} for sensor, table in rows.items() for row in table]
    path.write_bytes(orjson.dumps(array))
    return path


def csv_text(table: Sequence[dict[str, str]]) -> str:
    names = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _rows(series: Series, platform: str) -> list[dict[str, str]]:
    names = BATTERY if series.sensor == "battery" else FIELDS
    columns = {names.get(f, f): _texts(series, f, platform) for f in reversed(list(series.values))}
    elapsed = [str((t - START_NS) / 1e9) for t in series.t.tolist()]
    rows = zip(series.t.tolist(), elapsed, *columns.values(), strict=True)
    return [dict(zip(("time", "seconds_elapsed", *columns), map(str, row), strict=True)) for row in rows]


def _texts(series: Series, field: str, platform: str) -> list[str]:
    column: Any = series.values[field]
    if not isinstance(column, np.ndarray):
        return [{True: "true", False: "false", None: ""}.get(v, v) for v in column]
    factor = OF_IPHONE.get((series.sensor, field), 1.0) if platform == "ios" else 1.0
    return ["" if math.isnan(v) else repr(v * factor) for v in column.astype(np.float64).tolist()]
