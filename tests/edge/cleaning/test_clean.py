"""Cleaning: units by declaration, times to the nanosecond, and every row ends as a reading or as a bad row."""

import math
import warnings
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from edge.cleaning.cells import Cells
from edge.cleaning.clean import Cleaned, Cleaner, Maps
from edge.cleaning.moments import TimeFormat, moments
from edge.cleaning.units import conversion
from edge.sources import TEXT_CHARS_MAX
from telemetry import wire
from telemetry.batch import Batch
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from telemetry.reading import CATALOGUE

NOW_NS = 1_700_000_000_000_000_000
ACCELERATION = {"sensor": "acceleration", "time": "t", "time_unit": "ns", "fields": {"x": "x", "y": "y", "z": "z"}}


def cleaner(*maps: dict[str, Any]) -> Cleaner:
    adapter: TypeAdapter[Any] = TypeAdapter(Maps)
    return Cleaner.of(adapter.validate_python(list(maps)), "sources.a.map").prepare_rows("sources.a.map")


def cleaned(columns: dict[str, Cells], *maps: dict[str, Any]) -> Cleaned:
    n = max(map(len, columns.values()))
    return cleaner(*maps).columns(columns, range(1, n + 1), arrived_ns=NOW_NS)


def one(sensor: str, field: str, cells: Cells, unit: str | None = None) -> Cleaned:
    return cleaned({"v": cells}, {"sensor": sensor, "fields": {field: {"from": "v", "unit": unit}}})


# --- units ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sensor", "field", "unit", "given_", "expected"),
    [
        ("temperature", "celsius", "degF", 212.0, 100.0),
        ("temperature", "celsius", "F", -40.0, -40.0),
        ("temperature", "celsius", "K", 0.0, -273.15),
        ("acceleration", "x", "g", 1.0, 9.80665),
        ("acceleration", "x", "mg", -1000.0, -9.80665),
        ("acceleration", "x", "ft/s2", 1.0, 0.3048),
        ("gyroscope", "z", "deg/s", 180.0, math.pi),
        ("gyroscope", "z", "rpm", 60.0, 2 * math.pi),
        ("location", "speed", "km/h", 36.0, 10.0),
        ("location", "speed", "knots", 1.0, 1852 / 3600),
        ("barometer", "pressure", "Pa", 101325.0, 1013.25),
        ("barometer", "pressure", "mbar", 1013.25, 1013.25),
        ("barometer", "pressure", "inHg", 29.92, 1013.21),
        ("humidity", "relative", "1", 0.5, 50.0),
        ("battery", "level", "%", 50.0, 0.5),
        ("heart_rate", "rate", "bpm", 60.0, 60.0),
        ("light", "illuminance", "lux", 5.0, 5.0),
        ("magnetometer", "x", "nT", 48_000.0, 48.0),
    ],
)
def test_a_declared_unit_is_converted(sensor: str, field: str, unit: str, given_: float, expected: float) -> None:
    done = one(sensor, field, [str(given_)], unit)
    assert not done.bad
    assert done.series[0].values[field][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "unit", ["m", "furlongs per", "import os", "dBm", "(", "mW", "", "°", "2 m/s2", "\0", "m" * 60, "degC/s"]
)
def test_a_wrong_unit_is_misconfigured_at_its_path(unit: str) -> None:
    with warnings.catch_warnings(), pytest.raises(Misconfigured) as e:
        warnings.simplefilter("error")
        one("temperature", "celsius", ["1"], unit)
    assert e.value.path == "sources.a.map.fields.celsius.unit"


def test_a_logarithmic_unit_is_not_taken_for_a_factor() -> None:
    with pytest.raises(Misconfigured, match="no straight line"):
        conversion("mW", CATALOGUE["bluetooth"].by_name["rssi"], "p")


@pytest.mark.parametrize("sensor", CATALOGUE)
def test_pint_knows_every_unit_of_the_catalogue(sensor: str) -> None:
    for field in CATALOGUE[sensor].fields:
        if field.unit and field.unit not in ("dB", "dBm"):
            spaced = field.unit.replace("/", " / ")  # not the very same text, so that pint is asked
            assert (
                conversion(spaced if "/" in field.unit else f"({field.unit})", field, "p") is None or field.unit == "%"
            )


# --- what is bad, and what is kept ----------------------------------------------------------------------------


def test_each_bad_row_is_named_and_the_rest_is_kept() -> None:
    columns: dict[str, Cells] = {
        "t": ["1000", "", "1002", "1003", "1004", "1005", "1006", "1007", "x"],
        "x": ["0.1", "0.1", "n/a", "inf", "4001", "", "1e39", " 7.5 ", "1"],
        "y": ["0.2", "0.2", "0.2", "0.2", "0.2", "", "0.2", "", "1"],
        "z": ["0.3", "0.3", "0.3", "nan", "0.3", "", "0.3", "", "1"],
    }
    done = cleaned(columns, ACCELERATION)
    assert [(b.line, b.reason) for b in done.bad] == [
        (2, Reason.BAD_TIME),
        (3, Reason.BAD_VALUES),
        (4, Reason.NOT_FINITE),
        (5, Reason.OUT_OF_RANGE),
        (6, Reason.BAD_VALUES),
        (7, Reason.OUT_OF_RANGE),
        (9, Reason.BAD_TIME),
    ]
    assert done.bad[1].text == "1002,n/a,0.2,0.3"
    assert done.bad[3].detail == "x is not within -4000 .. 4000 m/s2"
    (series,) = done.series
    assert series.t.tolist() == [1000, 1007]
    assert done.rows[0].tolist() == [0, 7]
    assert done.bad_rows.tolist() == [b.line - 1 for b in done.bad]
    x, y = series.values["x"], series.values["y"]
    assert [float(v) for v in x] == [np.float32(0.1), 7.5]  # type: ignore[arg-type]
    assert np.isnan(y[1])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("1_000", Reason.BAD_VALUES),
        (True, Reason.BAD_VALUES),
        ([1], Reason.BAD_VALUES),
        ({"a": 1}, Reason.BAD_VALUES),
        (b"1", Reason.BAD_VALUES),
        ("1,5", Reason.BAD_VALUES),
        ("0x10", Reason.BAD_VALUES),
        ("\udcff", Reason.BAD_VALUES),
        (None, Reason.BAD_VALUES),
        ("  ", Reason.BAD_VALUES),
        (float("nan"), Reason.NOT_FINITE),
        ("-Infinity", Reason.NOT_FINITE),
        (10**400, Reason.NOT_FINITE),
        ("1e400", Reason.NOT_FINITE),
        (Decimal("1e999999"), Reason.NOT_FINITE),
        ("9" * 5000, Reason.BAD_VALUES),
        (5000.1, Reason.OUT_OF_RANGE),
    ],
)
def test_what_is_no_temperature(cell: Any, reason: Reason) -> None:
    done = one("temperature", "celsius", [cell])
    assert [b.reason for b in done.bad] == [reason]
    assert not done.series
    beside = one("temperature", "celsius", [cell, "20.5"])
    assert [b.line for b in beside.bad] == [1]
    assert len(beside.series[0]) == 1


def test_declared_texts_mean_no_value() -> None:
    columns: dict[str, Cells] = {"x": ["NA", "1"], "y": ["2", "-"]}
    done = cleaned(columns, {"sensor": "acceleration", "absent": ["NA", "-"], "fields": {"x": "x", "y": "y"}})
    assert not done.bad
    assert len(done.series[0]) == 2


def test_a_decimal_comma() -> None:
    done = cleaned({"v": ["20,5", "-1,25"]}, {"sensor": "temperature", "decimal": ",", "fields": {"celsius": "v"}})
    assert np.asarray(done.series[0].values["celsius"]).tolist() == [20.5, -1.25]


def test_truths_and_texts() -> None:
    columns: dict[str, Cells] = {
        "s": ["full", "", "x" * 5000, 7, "\udc80"],
        "low": ["yes", "0", False, True, None],
    }
    fields = {"state": "s", "low_power": "low"}
    done = cleaned(columns, {"sensor": "battery", "fields": fields})
    assert [b.line for b in done.bad] == [3, 5]
    assert done.series[0].values["state"] == ("full", None, "7")
    assert done.series[0].values["low_power"] == (True, False, True)


def test_arrays_masked_is_absent_and_nan_is_bad() -> None:
    x = np.ma.MaskedArray([1.0, 2.0, np.nan, np.inf], mask=[False, True, False, False])
    done = cleaned({"t": np.arange(4), "x": x}, {**ACCELERATION, "fields": {"x": "x"}})
    assert [(b.line, b.reason) for b in done.bad] == [
        (2, Reason.BAD_VALUES),
        (3, Reason.NOT_FINITE),
        (4, Reason.NOT_FINITE),
    ]


def test_several_sensors_of_a_row() -> None:
    both = (
        {"sensor": "temperature", "fields": {"celsius": "t"}},
        {"sensor": "humidity", "fields": {"relative": "h"}},
    )
    done = cleaned({"t": ["20", "", "", "x"], "h": ["50", "51", "", "52"]}, *both)
    assert [(s.sensor, len(s)) for s in done.series] == [("temperature", 1), ("humidity", 3)]
    assert [b.line for b in done.bad] == [3, 4]
    assert set(done.series[0].t.tolist()) == {NOW_NS}


def test_rows_by_name_and_by_jmespath() -> None:
    fields = {"celsius": {"from": "main.temp", "unit": "K"}}
    work = cleaner({"sensor": "temperature", "time": "dt", "fields": fields})
    rows = [{"dt": 1, "main": {"temp": 300.0}}, {"dt": 2}, "junk", None, {"dt": 3, "main": {"temp": "301"}}]
    done = work.rows(rows, range(1, 6), arrived_ns=NOW_NS)
    assert done.series[0].t.tolist() == [10**9, 3 * 10**9]
    assert [b.line for b in done.bad] == [2, 3, 4]
    pairs = cleaner({"sensor": "humidity", "time": "[0]", "time_unit": "ms", "fields": {"relative": "[1]"}})
    assert pairs.rows([[1, 50], [2, 51]], (1, 2), arrived_ns=0).series[0].t.tolist() == [10**6, 2 * 10**6]
    wrong_types = cleaner({"sensor": "humidity", "fields": {"relative": "avg(@)"}})
    assert len(wrong_types.rows([["a"], [1, 2]], (1, 2), arrived_ns=0).bad) == 1
    with pytest.raises(Misconfigured, match="JMESPath"):
        cleaner({"sensor": "humidity", "fields": {"relative": "a[["}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"sensor": "smell", "fields": {"x": "x"}},
        {"sensor": "acceleration", "fields": {"w": "x"}},
        {"sensor": "acceleration", "fields": {}},
        {"sensor": "acceleration", "fields": {"x": "x"}, "timezone": "Mars/Olympus"},
        {"sensor": "acceleration", "fields": {"x": "x"}, "timezone": "../../etc/passwd"},
        {"sensor": "acceleration", "fields": {"x": "x"}, "typo": 1},
    ],
)
def test_a_wrong_map_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cleaner(wrong)


# --- times ----------------------------------------------------------------------------------------------------

T_NS = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("unit", "cell", "expected"),
    [
        ("ns", str(T_NS), T_NS),
        ("ns", T_NS, T_NS),
        ("us", "1700000000123456.789", T_NS),
        ("ms", "1700000000123.456789", T_NS),
        ("s", "1700000000.123456789", T_NS),
        ("s", "1700000000.1234567891", T_NS),
        ("s", "1.700000000123456789e9", T_NS),
        ("s", 1_700_000_000.123, 1_700_000_000_123_000_000),
        ("ms", 1_700_000_000_123.0, 1_700_000_000_123_000_000),
        ("s", Decimal("1700000000.123456789"), T_NS),
        ("iso", "2023-11-14T22:13:20.123456789Z", T_NS),
        ("iso", "2023-11-14T22:13:20.123456789+00:00", T_NS),
        ("iso", "2023-11-14 23:13:20,5+01:00", 1_700_000_000_500_000_000),
        ("iso", "2023-11-14T22:13:20", 1_700_000_000_000_000_000),
        ("iso", "2023-11-14", 1_699_920_000_000_000_000),
        ("iso", datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC), T_NS - 789),
        ("s", datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone(timedelta(hours=1))), NOW_NS),
        ("s", "-1", None),
        ("s", "9223372037", None),
        ("s", "NaN", None),
        ("s", "1e999999", None),
        ("s", float("nan"), None),
        ("s", True, None),
        ("s", "1_0", None),
        ("iso", "yesterday", None),
        ("iso", "2300-01-01", None),
        ("iso", 5, None),
        ("iso", "9999-12-31T23:59:59-12:00", None),
        ("iso", "0001-01-01T00:00:00+12:00", None),
    ],
)
def test_times(unit: Any, cell: Any, expected: int | None) -> None:
    alone, wrong = moments([cell], TimeFormat(unit))
    assert (alone[0], wrong is None) == (expected or 0, expected is not None)
    mixed, _ = moments([cell, None], TimeFormat(unit))
    assert mixed[0] == (expected or 0)


def test_a_zone_for_times_that_name_none() -> None:
    from zoneinfo import ZoneInfo

    berlin = TimeFormat("iso", ZoneInfo("Europe/Berlin"))
    times, _ = moments(["2023-07-01T12:00:00", "2023-01-01T12:00:00", "2023-01-01T12:00:00Z"], berlin)
    hours = [datetime.fromtimestamp(t / 1e9, UTC).hour for t in times.tolist()]
    assert hours == [10, 11, 12]


def test_times_of_arrays() -> None:
    typed, wrong = moments(np.array([T_NS, "NaT"], "datetime64[ns]"), TimeFormat("s"))
    assert (typed.tolist(), wrong is not None and wrong.tolist()) == ([T_NS, 0], [False, True])
    masked = np.ma.MaskedArray([1, 2], mask=[False, True])
    times, wrong = moments(masked, TimeFormat("ms"))
    assert (times[0], wrong is not None and wrong.tolist()) == (10**6, [False, True])


# --- properties -----------------------------------------------------------------------------------------------

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1", "1.5", "-3e2", "nan", "inf", "", " ", "1e400", "1_0", "true", "2024-01-01", "\ud800"]),
    st.binary(max_size=3),
    st.decimals(),
    st.datetimes(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
ROW = st.fixed_dictionaries({"t": JUNK, "x": JUNK, "y": JUNK, "z": JUNK})
UNITS = st.sampled_from(["s", "ms", "us", "ns", "iso"])


@given(st.lists(ROW, min_size=1, max_size=12), UNITS)
def test_no_row_is_lost_and_nothing_raises(rows: list[dict[str, Any]], unit: str) -> None:
    columns = {name: [row[name] for row in rows] for name in "txyz"}
    lines = range(10, 10 + len(rows))
    done = cleaner({**ACCELERATION, "time_unit": unit}).columns(columns, lines, arrived_ns=NOW_NS)
    good = [lines[k] for rows_ in done.rows for k in rows_.tolist()]
    assert sorted(good + [b.line for b in done.bad]) == list(lines)
    for series in done.series:
        wire.decode_own(wire.encode(Batch("d", "s", 0, (series,))))
    assert all(len(b.text) <= TEXT_CHARS_MAX and b.text.encode() is not None for b in done.bad)


@given(st.lists(st.one_of(ROW, JUNK), min_size=1, max_size=12))
def test_no_json_row_is_lost(rows: list[Any]) -> None:
    work = cleaner({"sensor": "battery", "fields": {"level": "x", "state": "y", "low_power": "z"}})
    done = work.rows(rows, range(len(rows)), arrived_ns=NOW_NS)
    good = [k for rows_ in done.rows for k in rows_.tolist()]
    assert sorted(good + [b.line for b in done.bad]) == list(range(len(rows)))
    for series in done.series:
        wire.decode_own(wire.encode(Batch("d", "s", 0, (series,))))


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20), st.integers(0, 2**53))
def test_good_readings_come_out_as_they_went_in(values: list[float], first: int) -> None:
    times = [first + k for k in range(len(values))]
    as_text: dict[str, Cells] = {"t": list(map(str, times)), "x": list(map(repr, values))}
    as_array: dict[str, Cells] = {"t": np.array(times), "x": np.array(values, np.float32)}
    for columns in (as_text, as_array):
        done = cleaned(columns, {**ACCELERATION, "fields": {"x": "x"}})
        assert not done.bad
        assert done.series[0].t.tolist() == times
        assert np.array_equal(np.asarray(done.series[0].values["x"]), np.array(values, np.float32))
