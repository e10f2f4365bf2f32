"""SenML: the packs of RFC 8428's sections 5.1 and 4.6 as test vectors, then what the RFC demands of a receiver."""

from typing import Any

import numpy as np
import orjson
import pytest

from telemetry import wire
from telemetry.dialects import _senml_units as units
from telemetry.dialects.senml import NODES_MAX, parse
from telemetry.errors import Invalid, TooLarge
from telemetry.ports import Parsed, Sender
from telemetry.reading import CATALOGUE

NOW_NS = 1_700_000_000_123_456_789
T0 = 1_700_000_000
DEVICE = "urn:dev:ow:10e2073a01080063"
Rows = dict[str, list[tuple[int, dict[str, Any]]]]


def parsed(*records: Any, received_ns: int | None = NOW_NS, readings_max: int = 100) -> Parsed:
    return parse(orjson.dumps(records), Sender("d", received_ns=received_ns), readings_max=readings_max)


def rows(found: Parsed) -> Rows:
    """sensor -> (time in ms, fields and extra) by time."""
    said: Rows = {}
    for batch in found.batches:
        assert wire.encode(wire.decode(wire.encode(batch))) == wire.encode(batch)
        for one in batch.series:
            for k, t in enumerate(one.t.tolist()):
                row = {name: column[k] for name, column in one.values.items()}
                row = {
                    n: v for n, v in row.items() if v is not None and not (isinstance(v, np.floating) and np.isnan(v))
                }
                text = one.extra[k] if one.extra else None
                said.setdefault(one.sensor, []).append((t // 10**6, row | orjson.loads(text or "{}")))
    return said


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, np.floating) and bool(np.isnan(value)))


def refusal(*records: Any, **options: Any) -> str | None:
    with pytest.raises(Invalid) as refused:
        parsed(*records, **options)
    return refused.value.path


# --- RFC 8428, section 5.1


def test_5_1_1_a_single_data_point() -> None:
    found = parsed({"n": DEVICE, "u": "Cel", "v": 23.1})
    assert rows(found) == {"temperature": [(NOW_NS // 10**6, {"celsius": np.float32(23.1)})]}
    assert found.batches[0].session == "senml-2023-11-14-urn_dev_ow_10e2073a01080063"


def test_5_1_2_multiple_data_points() -> None:
    bn = "urn:dev:ow:10e2073a01080063:"
    found = parsed({"bn": bn, "n": "voltage", "u": "V", "v": 120.1}, {"n": "current", "u": "A", "v": 1.2})
    now = NOW_NS // 10**6
    assert rows(found) == {
        "voltage": [(now, {"value": 120.1, "unit": "V"})],
        "current": [(now, {"value": 1.2, "unit": "A"})],
    }
    assert found.unknown == {"voltage": 1, "current": 1}


MULTIPLE = [
    {"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1.276020076001e09, "bu": "A", "bver": 5,
     "n": "voltage", "u": "V", "v": 120.1},
    {"n": "current", "t": -5, "v": 1.2},
    {"n": "current", "t": -4, "v": 1.3},
    {"n": "current", "t": -3, "v": 1.4},
    {"n": "current", "t": -2, "v": 1.5},
    {"n": "current", "t": -1, "v": 1.6},
    {"n": "current", "v": 1.7},
]  # fmt: skip


def test_5_1_2_the_same_over_time() -> None:
    last = 1_276_020_076_001
    current = [(last - 5_000 + 1_000 * k, {"value": 1.2 + k / 10, "unit": "A"}) for k in range(6)]
    found = rows(parsed(*MULTIPLE))
    assert found["voltage"] == [(last, {"value": 120.1, "unit": "V"})]
    assert [t for t, _ in found["current"]] == [t for t, _ in current]
    for (_, got), (_, wanted) in zip(found["current"], current, strict=True):
        assert got == {"value": pytest.approx(wanted["value"]), "unit": "A"}


def test_5_1_3_multiple_measurements() -> None:
    bt, node = 1_320_067_464, DEVICE
    found = parsed(
        {"bn": node, "bt": bt, "bu": "%RH", "v": 20},
        {"u": "lon", "v": 24.30621},
        {"u": "lat", "v": 60.07965},
        {"t": 60, "v": 20.3},
        {"u": "lon", "t": 60, "v": 24.30622},
        {"u": "lat", "t": 60, "v": 60.07965},
        {"t": 120, "v": 20.7},
        {"u": "lon", "t": 120, "v": 24.30623},
        {"u": "lat", "t": 120, "v": 60.07966},
        {"u": "%EL", "t": 150, "v": 98},
        {"t": 180, "v": 21.2},
        {"u": "lon", "t": 180, "v": 24.30628},
        {"u": "lat", "t": 180, "v": 60.07967},
    )
    at = [(bt + s) * 1000 for s in (0, 60, 120, 180)]
    said = rows(found)
    assert said["humidity"] == [
        (t, {"relative": np.float32(v)}) for t, v in zip(at, (20, 20.3, 20.7, 21.2), strict=True)
    ]
    assert said["location"] == [
        (t, {"latitude": lat, "longitude": lon})
        for t, lat, lon in zip(
            at, (60.07965, 60.07965, 60.07966, 60.07967), (24.30621, 24.30622, 24.30623, 24.30628), strict=True
        )
    ]
    assert said["battery"] == [((bt + 150) * 1000, {"level": np.float32(0.98)})]
    assert (found.batches[0].readings, found.converted) == (9, ("battery: %EL -> 1",))


def test_5_1_3_resolved_it_is_the_same_batch() -> None:
    """Section 4.6: a pack and its resolved form say the same."""
    base = [
        {"bn": DEVICE, "bt": 1.320067464e09, "bu": "%RH", "v": 20},
        {"u": "lon", "v": 24.30621},
        {"t": 60, "v": 20.3},
    ]
    resolved = [
        {"n": DEVICE, "u": "%RH", "t": 1.320067464e09, "v": 20},
        {"n": DEVICE, "u": "lon", "t": 1.320067464e09, "v": 24.30621},
        {"n": DEVICE, "u": "%RH", "t": 1.320067524e09, "v": 20.3},
    ]
    assert parsed(*base).batches[0].id == parsed(*resolved).batches[0].id


def test_5_1_4_several_kinds_of_value() -> None:
    found = parsed(
        {"bn": "urn:dev:ow:10e2073a01080063:", "n": "temp", "u": "Cel", "v": 23.1},
        {"n": "label", "vs": "Machine Room"},
        {"n": "open", "vb": False},
        {"n": "nfc-reader", "vd": "aGkgCg"},
    )
    said = {sensor: row for sensor, [(_, row)] in rows(found).items()}
    assert said == {
        "temperature": {"celsius": np.float32(23.1)},
        "label": {"value": "Machine Room"},
        "open": {"value": False},
        "nfc-reader": {"value": "aGkgCg"},
    }


# --- names


@pytest.mark.parametrize(
    ("name", "unit", "sensor", "row"),
    [
        ("urn:dev:mac:0024befffe804ff1:acceleration/x", "m/s2", "acceleration", {"x": 2.0}),
        ("acceleration.x", None, "acceleration", {"x": 2.0}),
        ("a/b:linear-acceleration:Z", None, "linear_acceleration", {"z": 2.0}),
        ("urn:dev:ow:1_temperature", "Cel", "temperature", {"celsius": 2.0}),
        ("heartRate", "beat/min", "heart_rate", {"rate": 2.0}),
        ("lat", "lat", "location", {"latitude": 2.0}),
        ("kitchen/humidity", "%RH", "humidity", {"relative": 2.0}),
        ("gyroscope/w", None, "gyroscope", {"w": 2.0}),
        ("acceleration", None, "acceleration", {"value": 2.0}),
        ("urn:dev:ow:1", "XYZ", "urn_dev_ow_1", {"value": 2.0, "unit": "XYZ"}),
        ("urn:dev:ow:1:engine/coolant", "Cel", "coolant", {"value": 2.0, "unit": "Cel"}),
    ],
)
def test_names(name: str, unit: str | None, sensor: str, row: dict[str, Any]) -> None:
    record = {"n": name, "v": 2, "bt": T0} | ({"u": unit} if unit else {})
    assert rows(parsed(record)) == {sensor: [(T0 * 1000, row)]}


def test_one_sensor_and_time_is_one_reading_and_a_second_value_another() -> None:
    at = {"bn": "urn:dev:ow:1:", "bt": T0}
    said = rows(
        parsed(
            at | {"n": "acceleration/x", "v": 1},
            {"n": "acceleration/y", "v": 2},
            {"n": "acceleration/z", "v": 3, "t": 1},
            {"n": "acceleration/x", "v": 4},
        )
    )
    assert said["acceleration"] == [(T0 * 1000, {"x": 1, "y": 2}), (T0 * 1000, {"x": 4}), (T0 * 1000 + 1000, {"z": 3})]


def test_each_node_has_a_batch_of_its_own() -> None:
    found = parsed({"n": "a/temp", "v": 1, "bt": T0}, {"n": "b/temp", "v": 2}, {"n": "a/light", "v": 3})
    assert [b.session for b in found.batches] == ["senml-2023-11-14-a", "senml-2023-11-14-b"]
    assert [b.readings for b in found.batches] == [2, 1]
    with pytest.raises(TooLarge):
        parsed(*({"n": f"n{k}/temp", "v": 1, "t": T0} for k in range(NODES_MAX + 1)))


# --- units


@pytest.mark.parametrize(
    ("name", "unit", "sent", "kept"),
    [
        ("temperature", "K", 300, 26.85),
        ("temperature", "Cel", -5, -5),
        ("pressure", "Pa", 101_325, 1013.25),
        ("pressure", "hPa", 1013.25, 1013.25),
        ("humidity", "/", 0.5, 50),
        ("humidity", "%", 0.5, 50),
        ("battery", "%EL", 87, 0.87),
        ("battery", "/", 0.87, 0.87),
        ("battery/voltage", "mV", 3700, 3.7),
        ("speed", "km/h", 36, 10),
        ("magnetometer/x", "T", 5e-5, 50),
        ("orientation/yaw", "deg", 180, np.pi),
        ("heartrate", "1/s", 1.5, 90),
        ("altitude", "km", 1.5, 1500),
    ],
)
def test_units_are_converted(name: str, unit: str, sent: float, kept: float) -> None:
    ((_, [(_, row)]),) = rows(parsed({"n": name, "u": unit, "v": sent, "t": T0})).items()
    assert list(row.values()) == [pytest.approx(kept, rel=1e-6)]


def test_a_unit_of_another_kind_is_refused_with_those_that_fit() -> None:
    with pytest.raises(Invalid, match="Cel, degC, K") as refused:
        parsed({"n": "light", "v": 1}, {"n": "temperature", "u": "lx", "v": 3})
    assert refused.value.path == "$[1].u"


def test_every_unit_of_the_catalogue_can_be_sent() -> None:
    numbers = {f.unit for s in CATALOGUE.values() for f in s.fields if f.kind.is_number}
    assert numbers <= set(units.CONVERSIONS)
    for ours, theirs in units.CONVERSIONS.items():
        assert (1.0, 0.0) in theirs.values(), ours


# --- times


def test_times_below_2_28_are_relative_to_when_the_pack_came() -> None:
    said = rows(
        parsed({"n": "light", "v": 1}, {"n": "light", "t": -60, "v": 2}, {"n": "light", "t": 2**28 - 1, "v": 3})
    )
    now = NOW_NS // 10**6
    assert [t for t, _ in said["light"]] == [now - 60_000, now, now + (2**28 - 1) * 1000]
    assert rows(parsed({"n": "light", "t": 2**28, "v": 1}))["light"][0][0] == 2**28 * 1000


def test_relative_times_need_to_know_when_the_pack_came() -> None:
    assert refusal({"n": "light", "v": 1}, received_ns=None) == "$[0].t"
    assert parsed({"n": "light", "v": 1, "t": T0}, received_ns=None).batches


def test_the_same_pack_is_the_same_batch_if_its_times_are_absolute() -> None:
    absolute, relative = {"n": "light", "t": T0, "v": 1}, {"n": "light", "v": 1}
    later = NOW_NS + 60 * 10**9
    assert parsed(absolute).batches[0].id == parsed(absolute, received_ns=later).batches[0].id
    assert parsed(relative).batches[0].id != parsed(relative, received_ns=later).batches[0].id


@pytest.mark.parametrize("t", [-1e9 - 1e9, 9.3e9, 1e300, -1e300])
def test_impossible_times_are_refused(t: float) -> None:
    assert refusal({"n": "light", "v": 1, "t": t}) == "$[0].t"


# --- base values, sums, versions, unknown fields


def test_base_values_and_sums_are_added() -> None:
    found = parsed(
        {"bn": "m:", "bt": T0, "bv": 20, "bs": 100, "n": "temperature", "u": "Cel", "v": 1.5, "s": 5},
        {"n": "energy", "u": "J"},
    )
    said = {sensor: row for sensor, [(_, row)] in rows(found).items()}
    assert said == {
        "temperature": {"celsius": 21.5, "celsius.sum": 105},
        "energy": {"value": 20, "unit": "J", "sum": 100},
    }


def test_a_record_without_a_value_has_the_base_value() -> None:
    """Section 4.5.4: the one of them that is absent is zero.  Values of other kinds have none added."""
    found = parsed(
        {"bn": "m:", "bt": T0, "bv": 20, "n": "temperature", "u": "Cel"},
        {"n": "temperature", "u": "Cel", "t": 1, "v": 0.5},
        {"n": "temperature", "u": "Cel", "t": 2, "bv": 0},
        {"n": "door", "vb": True},
        {"n": "label", "vs": "x"},
    )
    said = rows(found)
    assert [row["celsius"] for _, row in said["temperature"]] == [20, 20.5, 0]
    assert (said["door"][0][1], said["label"][0][1]) == ({"value": True}, {"value": "x"})


def test_a_record_with_only_a_sum_has_no_value() -> None:
    assert rows(parsed({"n": "energy", "u": "J", "s": 5, "t": T0}))["energy"][0][1] == {"sum": 5}


@pytest.mark.parametrize(
    ("records", "path"),
    [
        ([{"n": "light", "v": 1, "x_": 1}], "$[0].x_"),
        ([{"n": "light", "v": 1}, {"n": "light", "v": 1, "must_": None}], "$[1].must_"),
        ([{"n": "light", "v": 1, "bver": 11}], "$[0].bver"),
        ([{"n": "light", "v": 1, "bver": 0}], "$[0].bver"),
        ([{"n": "light", "v": 1, "bver": "10"}], "$[0].bver"),
        ([{"n": "light", "v": 1}, {"n": "light", "v": 1, "bver": 5}], "$[1].bver"),
        ([{"n": "light"}], "$[0]"),
        ([{"n": "light", "v": 1, "vs": "x"}], "$[0].vs"),
        ([{"n": "light", "v": "1"}], "$[0].v"),
        ([{"n": "light", "v": True}], "$[0].v"),
        ([{"n": "light", "v": None}], "$[0].v"),
        ([{"n": "light", "vs": 1}], "$[0].vs"),
        ([{"n": "door", "vb": 1}], "$[0].vb"),
        ([{"n": "light", "vs": "bright"}], "$[0].vs"),
        ([{"n": "battery/state", "v": 1}], "$[0].v"),
        ([{"n": "light", "v": -1}], "$[0].v"),
        ([{"n": "humidity", "u": "%RH", "v": 101}], "$[0].v"),
        ([{"n": "light", "v": 1, "t": "now"}], "$[0].t"),
        ([{"v": 1}], "$[0].n"),
        ([{"n": "", "v": 1}], "$[0].n"),
        ([{"n": "a b", "v": 1}], "$[0].n"),
        ([{"n": "-a", "v": 1}], "$[0].n"),
        ([{"n": "x" * 257, "v": 1}], "$[0].n"),
        ([{"n": "x", "u": 5, "v": 1}], "$[0].u"),
        ([{"n": "x", "vs": "y" * 3000}], "$[0]"),
        ([{"n": "x", "v": 1e308, "bv": 1e308}], "$[0]"),
        ([5], "$[0]"),
        ([{"n": "x", "v": 1, "y": [[[[[[[[1]]]]]]]]}], "$"),
        ([], "$"),
    ],
)
def test_what_is_wrong_refuses_the_pack_with_the_path(records: list[Any], path: str) -> None:
    assert refusal(*records) == path


def test_unknown_fields_are_ignored() -> None:
    record = {"n": "light", "t": T0, "v": 1}
    assert parsed(record | {"ct": "60", "colour": {"a": 1}, "ut": 5}).batches[0].id == parsed(record).batches[0].id


@pytest.mark.parametrize("version", [1, 5, 10, 26])
def test_versions_that_are_known(version: int) -> None:
    assert parsed({"n": "light", "v": 1, "bver": version}, {"n": "light", "v": 2, "bver": version, "t": 1}).batches


def test_a_pack_has_as_many_records_as_a_batch_readings() -> None:
    with pytest.raises(TooLarge, match="split it"):
        parsed(*({"n": "light", "v": k, "t": T0 + k} for k in range(11)), readings_max=10)


def test_an_object_is_no_pack() -> None:
    with pytest.raises(Invalid):
        parse(b'{"n":"light","v":1}', Sender("d", received_ns=NOW_NS), readings_max=10)
