"""What every dialect promises, over every dialect there is.

Any bytes give `Parsed` or `Malformed`, `Invalid`, `TooLarge`, `Forbidden` or `Unsupported`, and nothing else; every
reading is in a batch or counted; the same input gives the same output.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import adapters, wire
from telemetry.batch import Batch, Series, is_name
from telemetry.dialects import load_dialect
from telemetry.dialects.senml_cbor import LABELS
from telemetry.errors import Forbidden, Invalid, Malformed, TooLarge, Unsupported
from telemetry.outcome import Reason
from telemetry.ports import Dialect, Parsed, Sender
from tests.telemetry.batches import scalars, unhurried

SHARED = Path(__file__).parents[3] / "shared" / "data"
NAMES = adapters.names("telemetry.dialects")
DIALECTS = {name: load_dialect(name) for name in NAMES}
READINGS_MAX = 50
ALLOWED = (Malformed, Invalid, TooLarge, Forbidden, Unsupported)
every_dialect = pytest.mark.parametrize("name", NAMES)
senders = st.builds(
    Sender,
    st.just("dev"),
    st.sampled_from(["", "ios", "android"]),
    st.booleans(),
    st.sampled_from([None, 1_700_000_000_123_456_789]),
)

_NATIVE = wire.encode(
    Batch("dev", "s", 1, (Series.of("gravity", [5, 6], {"x": [1, 2], "y": [3, None]}, [None, "{}"]),))
)
_APP = orjson.dumps(
    {
        "messageId": 1,
        "sessionId": "s",
        "deviceId": "d",
        "payload": [
            {"name": "gravity", "values": {"x": 1, "y": 2.5, "z": -3}, "accuracy": 3, "time": 5},
            {
                "name": "battery",
                "values": {"batteryState": "full", "lowPowerMode": True},
                "time": 6,
            },
            {"name": "location", "latitude": 1, "longitude": 2, "speed": -1, "time": 7},
            {"name": "new", "values": {"a": [1, {"b": None}]}, "time": 8},
        ],
    }
)
_FIX = orjson.dumps(
    {
        "_type": "location",
        "tst": 1_700_000_000,
        "lat": 2.5,
        "lon": -3,
        "vel": 36,
        "vac": -1,
        "acc": 1.0,
        "batt": 87,
        "bs": 2,
        "p": 101.3,
        "conn": "w",
        "SSID": "s",
        "topic": "owntracks/jane/phone",
        "tid": "jp",
        "inregions": ["s", {"a": None}],
    }
)


def _parts_of_a_fix(document: Any) -> int:
    """The position, and what it says of battery, pressure and network; a negative percentage says nothing."""
    has = {k for k, v in document.items() if v is not None}
    if type(document.get("batt")) in (int, float) and document["batt"] < 0:
        has.discard("batt")
    return 1 + sum(bool(has & names) for names in ({"batt", "bs"}, {"p"}, {"conn", "SSID", "BSSID"}))


_PACK = orjson.dumps(
    [
        {"bn": "urn:dev:ow:1:", "bt": 1.7e9, "bu": "Cel", "bver": 10, "n": "temperature", "v": 2.5},
        {"n": "acceleration/x", "u": "m/s2", "v": 1.0, "t": 1},
        {"n": "acceleration/y", "u": "m/s2", "v": -3, "t": 1, "ut": 5},
        {"n": "battery/state", "vs": "s"},
        {"n": "network/is_connected", "vb": True},
        {"n": "current", "u": "A", "v": 1.5, "s": 7},
        {"n": "door", "vd": "aGk"},
    ]
)


def _values_of_a_pack(records: Any) -> int:
    """Values and sums, also such as stand in a base alone: records of one sensor and time are one reading."""
    total, has_value, has_sum = 0, False, False
    for record in records:
        has_value, has_sum = has_value or "bv" in record, has_sum or "bs" in record
        total += has_value or bool(record.keys() & {"v", "vs", "vb", "vd"})
        total += has_sum or "s" in record
    return total


def _told(value: Any) -> Any:
    """The value; None where a number is absent."""
    return None if isinstance(value, np.floating) and np.isnan(value) else value


def _values_in(parsed: Parsed) -> int:
    series = [one for batch in parsed.batches for one in batch.series]
    columns = [column for one in series for column in one.values.values()]
    cells = sum(_told(v) is not None for column in columns for v in column)
    extras = [orjson.loads(text) for one in series for text in one.extra or () if text]
    return cells + sum(not key.endswith("unit") for extra in extras for key in extra)


_LABELS = {name: label for label, name in LABELS.items()}


def _in_cbor(pack: Any) -> bytes:
    """A pack as CBOR has it: labels for names, bytes for base64."""

    def field(name: Any, value: Any) -> tuple[Any, Any]:
        return _LABELS.get(name, name), value.encode() if name == "vd" and isinstance(value, str) else value

    def whole(record: Any) -> Any:
        return dict(field(*pair) for pair in record.items()) if isinstance(record, dict) else record

    return cbor2.dumps([whole(record) for record in pack] if isinstance(pack, list) else pack)


def _of_cbor(body: bytes) -> Any:
    """And back, as far as the tests count it."""
    return [{LABELS.get(label, label): value for label, value in record.items()} for record in cbor2.loads(body)]


GOOD = {
    "native": _NATIVE,
    "sensor_logger": _APP,
    "owntracks": _FIX,
    "senml": _PACK,
    "senml_cbor": _in_cbor(orjson.loads(_PACK)),
}
LOADS: dict[str, Callable[[bytes], Any]] = {"senml_cbor": _of_cbor}  # where it is not JSON
DUMPS: dict[str, Callable[[Any], bytes]] = {"senml_cbor": _in_cbor}
SENT: dict[str, Callable[[Any], int]] = {
    "native": lambda d: sum(len(s["dt"]) for s in d["series"]),
    "sensor_logger": lambda d: len(d["payload"]),
    "owntracks": _parts_of_a_fix,
    "senml": _values_of_a_pack,
    "senml_cbor": _values_of_a_pack,
}
FOUND: dict[str, Callable[[Parsed], int]] = {"senml": _values_in, "senml_cbor": _values_in}  # of what is no reading


def loads(name: str, body: bytes) -> Any:
    return LOADS.get(name, orjson.loads)(body)


def dumps(name: str, document: Any) -> bytes:
    return DUMPS.get(name, orjson.dumps)(document)


def parse(name: str, body: bytes, sender: Sender) -> Parsed | None:
    """`Parsed`, or None when it was refused; any other exception fails the test.  Checks what holds of every answer."""
    dialect: Dialect = DIALECTS[name]
    try:
        parsed = dialect.parse(body, sender, readings_max=READINGS_MAX)
    except ALLOWED as e:
        with pytest.raises(type(e)) as again:
            dialect.parse(body, sender, readings_max=READINGS_MAX)
        assert (again.value.message, again.value.path) == (e.message, e.path), "pure"
        return None
    again_parsed = dialect.parse(body, sender, readings_max=READINGS_MAX)
    assert _plain(again_parsed) == _plain(parsed), "pure"
    _check(name, body, parsed)
    return parsed


def _plain(parsed: Parsed) -> tuple[Any, ...]:
    return (
        [wire.encode(b) for b in parsed.batches],
        dict(parsed.rejected),
        parsed.converted,
        dict(parsed.unknown),
        parsed.hints,
        parsed.source_id,
        parsed.is_test,
    )


def _check(name: str, body: bytes, parsed: Parsed) -> None:
    for batch in parsed.batches:
        canonical = wire.encode(batch)
        assert wire.encode(wire.decode(canonical)) == canonical, "what leaves a dialect is a canonical batch"
        assert wire.encode(wire.decode_own(canonical)) == canonical
        assert batch.device == "dev"
        assert is_name(batch.session)
    assert all(isinstance(r, Reason) and n > 0 for r, n in parsed.rejected.items())
    if parsed.is_test:
        assert not parsed.batches
        return
    found = _found(name, parsed)
    try:
        assert found == SENT[name](loads(name, body)), "every reading is in a batch or counted"
    except orjson.JSONDecodeError as e:  # 1e400 is JSON, but not to this decoder
        assert "infinity" in str(e)


def _found(name: str, parsed: Parsed) -> int:
    return (
        FOUND[name](parsed)
        if name in FOUND
        else sum(b.readings for b in parsed.batches) + sum(parsed.rejected.values())
    )


def test_every_dialect_has_an_example() -> None:
    assert set(NAMES) == set(GOOD) == set(SENT), "add yours above"


@every_dialect
def test_the_example_passes(name: str) -> None:
    parsed = parse(name, GOOD[name], Sender("dev"))
    assert parsed is not None
    assert _found(name, parsed) == SENT[name](loads(name, GOOD[name]))


@every_dialect
@unhurried
@given(body=st.binary(max_size=100), sender=senders)
def test_any_bytes(name: str, body: bytes, sender: Sender) -> None:
    parse(name, body, sender)


@every_dialect
@unhurried
@given(data=st.data(), sender=senders)
def test_any_json(name: str, data: st.DataObject, sender: Sender) -> None:
    value = data.draw(st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(_keys, v, max_size=4)))
    parse(name, dumps(name, value), sender)


_keys = st.sampled_from(
    ["v", "series", "messageId", "payload", "name", "values", "x", "time", "sensor", "dt", "t0", "", "_type", "n", "v"]
)
_odd = scalars | st.sampled_from([1e300, 2**63, -1, [], {}, [[]], "x" * 5000, {"x": 1}, [[[[[[[[[1]]]]]]]]]])


@every_dialect
@unhurried
@given(data=st.data(), sender=senders)
def test_any_mutation_of_a_good_one(name: str, data: st.DataObject, sender: Sender) -> None:
    """Replace, remove or double one to three values anywhere in it."""
    document = loads(name, GOOD[name])
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(document, data)
    parse(name, dumps(name, document), sender)


def _mutate(document: Any, data: st.DataObject) -> None:
    at = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and data.draw(st.booleans()):
            at = at[key]
            continue
        match data.draw(st.sampled_from(["replace", "remove", "double"])):
            case "replace":
                at[key] = data.draw(_odd)
            case "remove":
                del at[key]
            case "double" if isinstance(at, list):
                at.append(at[key])
            case _:
                at[f"{key}2"] = at[key]
        return


@every_dialect
@unhurried
@given(data=st.data(), sender=senders)
def test_any_bytes_changed_in_a_good_one(name: str, data: st.DataObject, sender: Sender) -> None:
    body = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"9", b"e9", b"}", b'"', b"\xff"])
        )
    parse(name, bytes(body), sender)


@every_dialect
def test_every_proper_prefix_is_malformed(name: str) -> None:
    for cut in range(len(GOOD[name])):
        with pytest.raises(Malformed):
            DIALECTS[name].parse(GOOD[name][:cut], Sender("dev"), readings_max=READINGS_MAX)


@every_dialect
def test_json_that_is_none_or_of_another_shape_is_refused(name: str) -> None:
    """JSONTestSuite: n_ is no JSON, y_ is JSON but no message, i_ may be either."""
    folder = SHARED / "JSONTestSuite" / "test_parsing"
    if not folder.is_dir():
        pytest.skip("../shared/data/JSONTestSuite is not beside this checkout")
    paths = sorted(folder.glob("*.json"))
    assert len(paths) > 300
    for path in paths:
        with pytest.raises((Malformed, Invalid)):  # a typed decoder may see the wrong shape before the broken end
            DIALECTS[name].parse(path.read_bytes(), Sender("dev"), readings_max=READINGS_MAX)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LOADS])
def test_json_of_the_suite_inside_a_good_one(name: str) -> None:
    """Each file in the place of one value: refused, or kept and counted, never anything else."""
    folder = SHARED / "JSONTestSuite" / "test_parsing"
    if not folder.is_dir():
        pytest.skip("../shared/data/JSONTestSuite is not beside this checkout")
    for path in sorted(folder.glob("*.json")):
        for place in (b"2.5", b'"s"', b"-3", b"1.0"):
            parsed = parse(name, GOOD[name].replace(place, path.read_bytes(), 1), Sender("dev"))
            if parsed is not None and place in GOOD[name]:
                assert not path.name.startswith("n_") or name == "sensor_logger", path.name


def _naughty() -> list[str]:
    if not (SHARED / "blns.json").is_file():
        pytest.skip("../shared/data/blns.json is not beside this checkout")
    texts = orjson.loads((SHARED / "blns.json").read_bytes())
    assert len(texts) > 400
    return [str(t) for t in texts]


@every_dialect
def test_naughty_strings_in_every_text(name: str) -> None:
    good = loads(name, GOOD[name])
    texts = _naughty()
    for k, text in enumerate(texts):
        in_values, in_keys = _with_text(good, text), _with_key(good, text)
        for document in (*in_values, in_keys[k % len(in_keys)]):
            body = dumps(name, document)
            try:
                parsed = DIALECTS[name].parse(body, Sender("dev"), readings_max=READINGS_MAX)
            except ALLOWED:
                continue
            _check(name, body, parsed)
    assert len(texts) > len(in_keys), "every key had its turn"


def _with_text(document: Any, text: str) -> list[Any]:
    """The document once for each of its texts, that one replaced."""
    if isinstance(document, str):
        return [text]
    if isinstance(document, list):
        return [[*document[:k], new, *document[k + 1 :]] for k, v in enumerate(document) for new in _with_text(v, text)]
    if isinstance(document, dict):
        return [document | {k: new} for k, v in document.items() for new in _with_text(v, text)]
    return []


def _with_key(document: Any, text: str) -> list[Any]:
    """The document once for each of its keys, that one renamed."""
    if isinstance(document, list):
        return [[*document[:k], new, *document[k + 1 :]] for k, v in enumerate(document) for new in _with_key(v, text)]
    if isinstance(document, dict):
        inside = [document | {k: new} for k, v in document.items() for new in _with_key(v, text)]
        return inside + [{text if k == other else k: v for k, v in document.items()} for other in document]
    return []


def test_naughty_annotations_are_kept_to_the_letter() -> None:
    texts = _naughty()
    for k in range(0, len(texts), READINGS_MAX):
        part = texts[k : k + READINGS_MAX]
        payload = [{"name": "annotation", "values": {"text": t}, "time": i} for i, t in enumerate(part)]
        body = orjson.dumps({"messageId": 1, "sessionId": "s", "payload": payload})
        parsed = parse("sensor_logger", body, Sender("dev"))
        assert parsed is not None
        (series,) = parsed.batches[0].series
        assert list(series.values["text"]) == part
