"""OwnTracks' messages, as its booklet has them (https://owntracks.org/booklet/tech/json)."""

from typing import Any

import orjson
import pytest

from telemetry import unnumbered, wire
from telemetry.batch import Series
from telemetry.dialects.owntracks import parse
from telemetry.errors import Invalid, SensorlineError, Unsupported
from telemetry.outcome import Reason
from telemetry.ports import Parsed, Sender

TST = 1_700_000_000
FIX: dict[str, Any] = {"_type": "location", "tst": TST, "lat": 52.5, "lon": 13.4}


def parsed(**fields: Any) -> Parsed:
    return parse(orjson.dumps(fields), Sender("d"), readings_max=20)


def series_of(found: Parsed) -> dict[str, Series]:
    (batch,) = found.batches
    assert wire.encode(wire.decode(wire.encode(batch))) == wire.encode(batch)
    return {one.sensor: one for one in batch.series}


def value(series: Series, name: str) -> Any:
    (one,) = series.values[name]
    return one


def extra(series: Series) -> Any:
    assert series.extra is not None
    (text,) = series.extra
    return orjson.loads(text or "null")


def test_a_fix_with_all_that_it_can_have() -> None:
    found = parsed(
        **FIX,
        acc=12,
        alt=154,
        vac=3,
        vel=54,
        cog=270,
        batt=87,
        bs=2,
        p=101.325,
        conn="w",
        SSID="home",
        BSSID="a4:55:b1:14:0b:e8",
        t="u",
        tid="jp",
        m=2,
        inregions=["Home"],
        created_at=TST + 3,
        topic="owntracks/jane/phone",
    )
    series = series_of(found)
    assert list(series) == ["location", "battery", "barometer", "network"]
    assert all(one.t.tolist() == [TST * 10**9] for one in series.values())
    location = series["location"]
    assert {name: value(location, name) for name in location.values} == {
        "latitude": 52.5,
        "longitude": 13.4,
        "altitude": 154,
        "speed": 15,
        "bearing": 270,
        "horizontal_accuracy": 12,
        "vertical_accuracy": 3,
    }
    assert extra(location) == {"t": "u", "tid": "jp", "m": 2, "inregions": ["Home"], "created_at": TST + 3}
    assert value(series["battery"], "level") == pytest.approx(0.87)
    assert value(series["battery"], "state") == "charging"
    assert value(series["barometer"], "pressure") == pytest.approx(1013.25)
    network = {name: value(series["network"], name) for name in series["network"].values}
    assert network == {"connection": "wifi", "is_connected": True, "ssid": "home", "bssid": "a4:55:b1:14:0b:e8"}
    assert found.converted == ("location: km/h -> m/s", "battery: % -> 1", "barometer: kPa -> hPa")
    assert (found.source_id, found.rejected) == ("owntracks/jane/phone", {})
    assert found.batches[0].session == "owntracks-2023-11-14"


@pytest.mark.parametrize(
    ("conn", "name", "connected"), [("w", "wifi", True), ("m", "cellular", True), ("o", "none", False)]
)
def test_connections(conn: str, name: str, connected: bool) -> None:
    network = series_of(parsed(**FIX, conn=conn))["network"]
    assert (value(network, "connection"), value(network, "is_connected")) == (name, connected)


@pytest.mark.parametrize(("bs", "state"), [(0, "unknown"), (1, "unplugged"), (2, "charging"), (3, "full")])
def test_charge(bs: int, state: str) -> None:
    assert value(series_of(parsed(**FIX, bs=bs))["battery"], "state") == state


def test_what_is_negative_is_not_known() -> None:
    series = series_of(parsed(**FIX, acc=-1, vac=-1, vel=-1, cog=-1, batt=-100, alt=-5))
    assert list(series) == ["location"]
    assert set(series["location"].values) == {"latitude", "longitude", "altitude"}


def test_a_wrong_battery_pressure_or_network_is_counted_and_the_position_kept() -> None:
    found = parsed(**FIX, batt=101, p="high", conn="x")
    assert list(series_of(found)) == ["location"]
    assert found.rejected == {Reason.OUT_OF_RANGE: 1, Reason.BAD_VALUES: 2}
    assert found.converted == ()


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"lat": None}, "$.lat"),
        ({"lat": 91}, "$.lat"),
        ({"lat": "52.5"}, "$.lat"),
        ({"lon": True}, "$.lon"),
        ({"lon": -180.1}, "$.lon"),
        ({"vel": "fast"}, "$.vel"),
        ({"vel": 1e300}, "$.vel"),
        ({"acc": 1e39}, "$.acc"),
        ({"cog": 361}, "$.cog"),
        ({"tst": None}, "$.tst"),
        ({"tst": -1}, "$.tst"),
        ({"tst": 1e300}, "$.tst"),
        ({"tst": "now"}, "$.tst"),
        ({"topic": 5}, "$.topic"),
        ({"topic": "x" * 257}, "$.topic"),
        ({"_type": 1}, "$._type"),
        ({"x": "y" * 3000}, "$"),
        ({"x": [[[[[[[[1]]]]]]]]}, "$"),
    ],
)
def test_a_wrong_position_refuses_the_message(changed: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as refused:
        parsed(**FIX | changed)
    assert refused.value.path == path


@pytest.mark.parametrize("body", [b"[]", b"1", b"{}", b'"x"', b"null"])
def test_what_is_no_message(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse(body, Sender("d"), readings_max=20)


def test_numbers_beyond_any_float_are_refused() -> None:
    for field in ("lat", "tst", "x"):
        body = orjson.dumps(FIX | {field: 7777}).replace(b"7777", b"1e400")
        with pytest.raises(SensorlineError) as refused:
            parse(body, Sender("d"), readings_max=20)
        assert isinstance(refused.value, Invalid)


@pytest.mark.parametrize("event", ["enter", "leave"])
def test_a_transition_is_an_annotation(event: str) -> None:
    found = parsed(
        _type="transition", tst=TST, wtst=5, lat=52.5, lon=13.4, acc=20, tid="jp", event=event, desc="Home", t="c",
        topic="owntracks/jane/phone/event",
    )  # fmt: skip
    annotation = series_of(found)["annotation"]
    assert value(annotation, "text") == f"{event} Home"
    assert extra(annotation) == {
        "latitude": 52.5, "longitude": 13.4, "horizontal_accuracy": 20, "wtst": 5, "tid": "jp", "t": "c",
    }  # fmt: skip
    assert found.source_id == "owntracks/jane/phone", "the same phone as its positions"


def test_a_waypoint_is_an_annotation() -> None:
    annotation = series_of(parsed(_type="waypoint", tst=TST, desc="Work", lat=1, lon=2, rad=50))["annotation"]
    assert (value(annotation, "text"), extra(annotation)) == (
        "waypoint Work",
        {"latitude": 1, "longitude": 2, "rad": 50},
    )
    assert annotation.t.tolist() == [TST * 10**9]


@pytest.mark.parametrize("event", [None, "", 5, "x" * 65])
def test_a_transition_says_what_happened(event: Any) -> None:
    with pytest.raises(Invalid) as refused:
        parsed(_type="transition", tst=TST, event=event)
    assert refused.value.path == "$.event"


@pytest.mark.parametrize("kind", ["lwt", "cmd", "card", "configuration", "waypoints", "status", "steps", "dump", "new"])
def test_other_kinds_store_nothing(kind: str) -> None:
    found = parsed(_type=kind, tst=TST, topic="owntracks/jane/phone/cmd")
    assert (found.batches, found.is_test, found.source_id) == ((), True, "owntracks/jane/phone")


def test_an_encrypted_message_is_refused_with_the_mend() -> None:
    with pytest.raises(Unsupported, match="clear the encryption key"):
        parsed(_type="encrypted", data="aGFsbG8=")


def test_a_picture_is_left_out_and_the_position_kept() -> None:
    found = parsed(**FIX, poi="Pier", imagename="x.jpg", image="A" * 100_000)
    assert extra(series_of(found)["location"]) == {"poi": "Pier", "imagename": "x.jpg"}
    assert found.converted == ("location: a picture was left out",)


def test_a_message_is_told_by_what_it_says() -> None:
    """Written otherwise it is the same batch; another one of the same second is not."""
    one = parsed(**FIX, tid="jp").batches[0]
    assert parse(b'{ "tid": "jp",' + orjson.dumps(FIX)[1:], Sender("d"), readings_max=20).batches[0].id == one.id
    others = [parsed(**FIX, tid="jq"), parsed(**FIX | {"lat": 52.6}), parsed(**FIX | {"tst": TST + 1}, tid="jp")]
    ids = {one.id, *(other.batches[0].id for other in others)}
    assert len(ids) == 4
    assert all(unnumbered.is_unnumbered(id_.seq) for id_ in ids)
    assert {id_.session for id_ in ids} == {"owntracks-2023-11-14"}
