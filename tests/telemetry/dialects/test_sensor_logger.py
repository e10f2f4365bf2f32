"""The app's messages: a generated world comes back reading by reading; what is wrong costs itself and nothing else."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import wire
from telemetry.batch import EXTRA_BYTES_MAX, SERIES_MAX, TEXT_CHARS_MAX, Batch, Series
from telemetry.dialects import _json, sensor_logger
from telemetry.errors import Invalid, Malformed, TooLarge
from telemetry.outcome import Reason
from telemetry.ports import Parsed, Sender
from tests.telemetry.batches import unhurried
from tests.telemetry.dialects.worlds import World, worlds

GRAVITY = {"name": "gravity", "values": {"x": 1, "y": 2, "z": 3}, "time": 5}
SENDER = Sender("phone-1", "android")


def message(payload: Any, **changes: Any) -> bytes:
    """A message of the app's."""
    return orjson.dumps({"messageId": 7, "sessionId": "s", "deviceId": "d", "payload": payload} | changes)


def parse(body: bytes, sender: Sender = SENDER, readings_max: int = 1000) -> Parsed:
    """As the gateway calls it."""
    return sensor_logger.parse(body, sender, readings_max=readings_max)


def readings(batch: Batch) -> list[tuple[str, int, dict[str, Any]]]:
    """Row by row, absent values left out."""
    rows = []
    for series in batch.series:
        for i, t in enumerate(series.t.tolist()):
            row = {k: c[i] for k, c in series.values.items()}
            row = {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
            rows.append((series.sensor, t, {k: v for k, v in row.items() if v is not None and not is_nan(v)}))
    return rows


def _encoded(series: Series) -> bytes:
    return wire.encode(Batch("d", "s", 0, (series,)))


def is_nan(value: Any) -> bool:
    """An absent number."""
    return isinstance(value, float) and math.isnan(value)


@unhurried
@given(worlds())
def test_a_world_comes_back(world: World) -> None:
    parsed = parse(message(world.payload), world.sender)
    (batch,) = parsed.batches
    assert (batch.device, batch.session, batch.seq) == ("phone-1", "s", 7)
    assert not parsed.rejected
    assert not parsed.unknown
    sensors = list(dict.fromkeys(sensor for sensor, _, _ in world.readings))
    assert [s.sensor for s in batch.series] == sensors, "one series a sensor, by first arrival"
    assert readings(batch) == sorted(world.readings, key=lambda r: sensors.index(r[0])), "in order of arrival"
    assert wire.encode(wire.decode(wire.encode(batch))) == wire.encode(batch)


@unhurried
@given(worlds())
def test_the_typed_pass_and_the_general_one_agree(world: World) -> None:
    """An unknown key beside the payload sends the same message the long way round."""
    short, long = (parse(message(world.payload, **more), world.sender) for more in ({}, {"appVersion": "1.5"}))
    assert wire.encode(short.batches[0]) == wire.encode(long.batches[0])
    assert (short.converted, short.hints) == (long.converted, long.hints)


@unhurried
@given(worlds(), st.data())
def test_one_bad_reading_costs_only_itself(world: World, data: st.DataObject) -> None:
    bad: Any = data.draw(
        st.sampled_from(
            [None, 3, [], {}, {"name": "gravity"}, GRAVITY | {"time": 0.5}, GRAVITY | {"values": {"x": "1"}}]
        )
    )
    at = data.draw(st.integers(0, len(world.payload)))
    whole = parse(message(world.payload), world.sender)
    parsed = parse(message([*world.payload[:at], bad, *world.payload[at:]]), world.sender)
    # series stand by first arrival of their sensor, which may have been the bad one's
    assert sorted(map(_encoded, parsed.batches[0].series)) == sorted(map(_encoded, whole.batches[0].series))
    assert sum(parsed.rejected.values()) == 1


@pytest.mark.parametrize("name", ["gravity", "Gravity", "GRAVITY", " gra vity", "gra_vity"])
def test_names_are_normalised(name: str) -> None:
    other = GRAVITY | {"time": 6}
    (batch,) = parse(message([GRAVITY | {"name": name}, other])).batches
    assert [(s.sensor, len(s)) for s in batch.series] == [("gravity", 2)]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"messageId": None}, "$.messageId"),
        ({"messageId": -1}, "$.messageId"),
        ({"messageId": 2**63}, "$.messageId"),
        ({"messageId": 1.0}, "$.messageId"),
        ({"messageId": True}, "$.messageId"),
        ({"messageId": "1"}, "$.messageId"),
        ({"sessionId": None}, "$.sessionId"),
        ({"sessionId": 5}, "$.sessionId"),
        ({"sessionId": ""}, "$.sessionId"),
        ({"sessionId": "../x"}, "$.sessionId"),
        ({"sessionId": "x" * 65}, "$.sessionId"),
        ({"deviceId": 5}, "$.deviceId"),
        ({"deviceId": ""}, "$.deviceId"),
        ({"deviceId": "x" * 257}, "$.deviceId"),
        ({"more": [[[[[[[[1]]]]]]]]}, "$.more"),
    ],
)
def test_a_message_of_the_wrong_shape_is_invalid(changes: dict[str, Any], path: str) -> None:
    for payload in ([GRAVITY], [GRAVITY, None]):  # the typed pass, the general one
        with pytest.raises(Invalid) as e:
            parse(message(payload, **changes))
        assert e.value.path == path


@pytest.mark.parametrize("payload", [None, {}, "x", 1])
def test_a_payload_is_a_list(payload: Any) -> None:
    with pytest.raises(Invalid) as e:
        parse(message(payload))
    assert e.value.path == "$.payload"


@pytest.mark.parametrize("missing", ["messageId", "sessionId", "payload"])
def test_identity_and_payload_are_needed(missing: str) -> None:
    document = orjson.loads(message([GRAVITY]))
    del document[missing]
    with pytest.raises(Invalid) as e:
        parse(orjson.dumps(document))
    assert e.value.path == f"$.{missing}"


def test_a_message_without_device_id_pins_nothing() -> None:
    assert parse(message([GRAVITY], deviceId=None)).source_id is None


@pytest.mark.parametrize("body", [b"1", b"null", b'"x"', b"[]", b"{}"])
def test_other_json_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        message([GRAVITY]) + b"x",
        message([GRAVITY]).replace(b"3", b"NaN"),
        message([GRAVITY]).replace(b'"d"', b'"\xff"'),
        message([GRAVITY]).replace(b'"d"', b'"\\ud800"'),
        message([GRAVITY], x=1).replace(b'"x":1', b'"x":1e400,"y":NaN'),
        message([GRAVITY], x=1).replace(b'"x":1', b'"x":1e400,"y":"\\ud800"'),
        b"\xef\xbb\xbf" + message([GRAVITY]),
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


@pytest.mark.parametrize("token", [b"1e400", b"-1e400", b"1" + b"0" * 400])
def test_a_number_beyond_float64_costs_one_reading(token: bytes) -> None:
    body = message([GRAVITY, GRAVITY | {"values": {"x": 77}}, {"name": "new", "values": {"a": 77}, "time": 1}])
    parsed = parse(body.replace(b"77", token))
    assert parsed.batches[0].readings == 1
    assert parsed.rejected == {Reason.NOT_FINITE: 2}


def test_integers_of_any_length_are_read_in_linear_time() -> None:
    body = message([GRAVITY, GRAVITY | {"values": {"x": 77}}]).replace(b"77", b"1" * 200_000)
    assert parse(body).rejected == {Reason.NOT_FINITE: 1}
    assert _json.load_json(b"[1e400,18446744073709551615,-9223372036854775809,12]")[1:] == [
        18446744073709551615,
        -9223372036854775808.0,
        12,
    ]


@pytest.mark.parametrize("nest", [20, 500, 5_000, 500_000])
def test_deep_nesting_is_refused(nest: int) -> None:
    deep = b"[" * nest + b"]" * nest
    for body in (
        deep,
        message("PUT"),
        message(["PUT"]),
        message([GRAVITY | {"values": "PUT"}]),
        message([GRAVITY | {"values": {"x": "PUT"}}]),
        message([GRAVITY | {"values": {"new": "PUT"}}]),
        message([GRAVITY | {"values": {"new": "PUT", "x": 77}}]).replace(b"77", b"1e400"),
        message([GRAVITY | {"name": "PUT"}]),
        message([GRAVITY], more="PUT"),
    ):
        with pytest.raises((Invalid, Malformed)):
            parse(body.replace(b'"PUT"', deep))


def test_nesting_within_the_bound_is_kept() -> None:
    parsed = parse(message([GRAVITY | {"values": {"new": [[[[1]]]]}}]))
    assert parsed.batches[0].series[0].extra == ('{"new":[[[[1]]]]}',)
    with pytest.raises(Invalid):
        parse(message([GRAVITY | {"values": {"new": [[[[[1]]]]]}}]))


def test_too_many_readings() -> None:
    for payload in ([GRAVITY] * 3, [GRAVITY, GRAVITY, None]):
        with pytest.raises(TooLarge):
            parse(message(payload), readings_max=2)
        assert parse(message(payload), readings_max=3).batches


def test_too_many_sensors_are_counted() -> None:
    parsed = parse(message([{"name": f"new{k}", "values": {}, "time": 1} for k in range(SERIES_MAX + 5)]), SENDER, 5000)
    assert len(parsed.batches[0].series) == SERIES_MAX
    assert parsed.rejected == {Reason.TOO_MANY: 5}
    assert wire.decode(wire.encode(parsed.batches[0])).readings == SERIES_MAX


def test_unknown_names_are_counted_up_to_a_bound() -> None:
    parsed = parse(message([GRAVITY | {"values": {f"f{k}": 1}} for k in range(2_000)]), SENDER, 5000)
    assert sum(parsed.unknown.values()) == 2_000
    assert len(parsed.unknown) == 1_001
    assert parsed.unknown["other"] == 1_000


def test_a_picture_is_kept_while_it_is_small() -> None:
    def camera(n: int) -> Parsed:
        return parse(message([{"name": "camera", "values": {"image": "A" * n, "imageFormat": "jpg"}, "time": 1}]))

    small, large = camera(EXTRA_BYTES_MAX - 20), camera(EXTRA_BYTES_MAX)
    assert small.batches[0].readings == 1
    assert not small.unknown
    assert not small.rejected
    assert large.rejected == {Reason.IMAGE_TOO_LARGE: 1}
    assert large.batches[0].series == ()


def test_extras_are_bounded() -> None:
    assert parse(message([GRAVITY | {"values": {"new": "x" * EXTRA_BYTES_MAX}}])).rejected == {
        Reason.EXTRA_TOO_LARGE: 1
    }
    many = {chr(0x4E00 + k): 0 for k in range(20_000)}  # all of them become "_": not one by one
    assert parse(message([GRAVITY | {"values": many}])).rejected == {Reason.EXTRA_TOO_LARGE: 1}
    assert parse(message([{"name": "annotation", "values": {"text": "x" * (TEXT_CHARS_MAX + 1)}, "time": 1}])).rejected


def test_extra_keys_that_become_the_same_are_numbered() -> None:
    (batch,) = parse(message([GRAVITY | {"values": {"a b": 1, "a_b": 2, "a/b": 3, "": 4}}])).batches
    assert orjson.loads(batch.series[0].extra[0] or "") == {"a_b": 1, "a_b_2": 2, "a_b_3": 3, "_": 4}  # type: ignore[index]


def test_null_is_absent_and_nothing_at_all_is_no_reading() -> None:
    parsed = parse(message([GRAVITY | {"values": {"x": None, "y": 2, "z": 3}}, GRAVITY | {"values": {"x": None}}]))
    assert readings(parsed.batches[0]) == [("gravity", 5, {"y": 2.0, "z": 3.0})]
    assert parsed.rejected == {Reason.BAD_VALUES: 1}
    event = parse(message([{"name": "annotation", "values": {}, "time": 9}]))
    assert readings(event.batches[0]) == [("annotation", 9, {})], "a mark's time is its content"


def test_both_ends_of_int64_time() -> None:
    parsed = parse(message([GRAVITY | {"time": 0}, GRAVITY | {"time": 2**63 - 1}]))
    assert parsed.batches[0].series[0].t.tolist() == [0, 2**63 - 1]


def test_an_empty_payload_still_claims_its_seq() -> None:
    parsed = parse(message([]))
    assert [(b.id, b.series) for b in parsed.batches] == [(("phone-1", "s", 7), ())]


@pytest.mark.parametrize("name", ["test", "Test"])
def test_the_test_push_stores_nothing(name: str) -> None:
    for body in (
        message([{"name": name}]),
        orjson.dumps({"payload": [{"name": name, "time": 1, "values": {}}, GRAVITY]}),
        message([{"name": name}], messageId="x", sessionId=None, deviceId=5),
    ):
        parsed = parse(body)
        assert parsed.is_test
        assert parsed.batches == ()
        assert not parsed.rejected


def test_test_elsewhere_is_a_reading_of_a_sensor_we_do_not_know() -> None:
    parsed = parse(message([GRAVITY, {"name": "test", "values": {}, "time": 1}]))
    assert not parsed.is_test
    assert parsed.unknown == {"test": 1}


def test_the_person_is_not_kept() -> None:
    parsed = parse(message([GRAVITY], userId="a person"))
    assert b"a person" not in wire.encode(parsed.batches[0]) + repr(parsed).encode()


def test_the_bench_s_phone_has_no_bad_reading() -> None:
    path = Path(__file__).parents[4] / "shared" / "bench" / "phones.py"
    if not path.is_file():
        pytest.skip("../shared/bench/phones.py is not beside this checkout")
    source = path.read_text().partition("def cpu(")[0]  # what follows runs the bench
    phones: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), phones)
    for n in range(5):
        parsed = parse(phones["message"](random.Random(n), "phone-0000", "1-0", n, 10**18), Sender("phone-0000"))
        assert parsed.batches[0].readings == 500
        assert not parsed.rejected
        assert not parsed.unknown


def _turn(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    w, u = q[0], q[1:]
    return np.asarray(v + 2 * np.cross(u, np.cross(u, v) + w * v))


@pytest.mark.parametrize(("pitch", "yaw"), [(0.3, 0.0), (0.0, 0.4), (-0.7, 0.0), (0.0, -1.2)])
def test_pitch_and_yaw_of_an_iphone_agree_with_its_quaternion_as_android_reads_it(pitch: float, yaw: float) -> None:
    """iOS: right-handed about x and z.  Android's getOrientation of the same quaternion: the opposite of both."""
    q = np.array([np.cos(pitch / 2) * np.cos(yaw / 2), np.sin(pitch / 2), 0.0, np.sin(yaw / 2)])
    sent = {"pitch": pitch, "roll": 0.0, "yaw": yaw} | dict(zip(("qw", "qx", "qy", "qz"), q.tolist(), strict=True))
    reading = {"name": "orientation", "values": sent, "time": 1}
    ((_, _, got),) = readings(parse(message([reading]), Sender("i", "ios")).batches[0])
    y_axis = _turn(np.array([got["qw"], got["qx"], got["qy"], got["qz"]]), np.array([0.0, 1.0, 0.0]))
    assert got["pitch"] == pytest.approx(-np.arcsin(y_axis[2]), abs=1e-6)
    assert got["yaw"] == pytest.approx(np.arctan2(y_axis[0], y_axis[1]), abs=1e-6)


def test_hints_against_a_known_platform() -> None:
    light = {"name": "light", "values": {"lux": 1}, "time": 1}
    assert parse(message([light]), Sender("i", "ios")).hints == ("android: light",)
    assert parse(message([light])).hints == ()
    flat = [GRAVITY | {"values": {"x": 0, "y": 0, "z": 9.8}}]
    assert parse(message(flat), Sender("p")).hints == ("android: gravity along z, if the screen is up",)
    assert parse(message([*flat, GRAVITY]), Sender("p")).hints == ()


def test_headphone_gravity_s_unit_is_told_by_its_length() -> None:
    def z(sent: float) -> Any:
        reading = {"name": "headphone", "values": {"gravityX": 0, "gravityY": 0, "gravityZ": sent}, "time": 1}
        return readings(parse(message([reading]), Sender("i", "ios")).batches[0])[0][2]["gravity_z"]

    assert z(-1) == pytest.approx(9.80665)
    assert z(-9.81) == pytest.approx(9.81)
