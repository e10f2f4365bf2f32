"""SenML in CBOR: the same batch as of the same pack in JSON, whatever the lengths and floats; no bytes do harm."""

import base64
import math
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import cbor2
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry import wire
from telemetry.dialects import senml, senml_cbor
from telemetry.dialects._cbor import NoScalar, Reader
from telemetry.errors import Invalid, Malformed, SensorlineError, TooLarge
from telemetry.ports import Parsed, Sender
from tests.telemetry.batches import scalars, unhurried

NOW_NS = 1_700_000_000_123_456_789
T0 = 1_700_000_000
LABELS = {name: label for label, name in senml_cbor.LABELS.items()} | {"ut": 7}
EXAMPLE = bytes.fromhex(  # RFC 8428, section 6: its first two records
    "82a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b001062236141200500"
    "67766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333"
)
EXAMPLE_JSON = [
    {"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1.276020076001e09, "bu": "A", "bver": 5,
     "n": "voltage", "u": "V", "v": 120.1},
    {"n": "current", "t": -5, "v": 1.2},
]  # fmt: skip


def parsed(body: bytes, readings_max: int = 100, *, of: Any = senml_cbor) -> Parsed:
    found: Parsed = of.parse(body, Sender("d", received_ns=NOW_NS), readings_max=readings_max)
    return found


def told(body: bytes, of: Any) -> Any:
    """All that became of it; of a refusal its kind and place."""
    try:
        found = parsed(body, of=of)
    except SensorlineError as e:
        return type(e), e.path
    return [wire.encode(b) for b in found.batches], found.converted, dict(found.unknown)


def in_cbor(pack: Any) -> Any:
    """The pack with the labels and the data of CBOR."""
    return [
        {LABELS.get(name, name): _data(value) if name == "vd" else value for name, value in record.items()}
        if isinstance(record, dict)
        else record
        for record in pack
    ]


def _data(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def refusal(body: bytes, kind: type[SensorlineError] = Invalid) -> str | None:
    with pytest.raises(kind) as refused:
        parsed(body)
    return refused.value.path


# --- one pack, two encodings

_names = st.sampled_from(["temperature", "acceleration/x", "a/light", "door", "network/is_connected", "-", "lat"])
_numbers = st.integers(-(2**63), 2**64 - 1) | st.integers(-500, 500) | st.floats(allow_nan=False, allow_infinity=False)
_others = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3), max_leaves=5
)
_few = st.integers(-5, 200) | st.floats(-5, 200)
_records = st.fixed_dictionaries(
    {},
    optional={
        "bn": st.sampled_from(["urn:dev:ow:1:", "b:", ""]),
        "bt": st.sampled_from([T0, T0 + 0.5, 1.276020076001e09]),
        "bu": st.sampled_from(["Cel", "lx", ""]),
        "bv": _few,
        "bs": _few,
        "bver": st.sampled_from([5, 10, 10, 10, 26, 11, 10.0]),
        "u": st.sampled_from(["Cel", "K", "%RH", "XYZ"]),
        "s": _few,
        "t": _few | _numbers,
        "ut": _others,
        "colour": _others,
        "x_": scalars,
    },
)
_values = st.one_of(
    st.fixed_dictionaries({"v": _few | _numbers}),
    st.fixed_dictionaries({"v": _few}),
    st.fixed_dictionaries({"vb": st.booleans()}),
    st.fixed_dictionaries({"vs": st.text(max_size=9)}),
    st.fixed_dictionaries(
        {"vd": st.binary(max_size=9).map(lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode())}
    ),
    st.fixed_dictionaries({}, optional={"v": scalars, "vs": scalars, "vb": scalars, "n": scalars}),
)
_whole = st.builds(lambda a, n, b: a | {"n": n} | b, _records, _names, _values)
_simple = st.builds(lambda n, t, v: {"n": n, "t": T0 + t} | v, _names, st.integers(-3, 3), _values)
packs = st.lists(_simple | _simple | _whole, max_size=4) | st.lists(_whole | scalars, max_size=3)


@unhurried
@given(pack=packs, canonical=st.booleans(), endless=st.booleans())
@example(pack=EXAMPLE_JSON, canonical=True, endless=True)
@example(pack=[{"n": "door", "vd": "aGkgCg", "t": T0}], canonical=False, endless=False)
@example(pack=[{"n": "x", "v": 1, "t": T0, "y": [[[[[[1]]]]]]}], canonical=False, endless=True)
@example(pack=[{"n": "x", "v": 1, "t": T0, "y": [[[[[[[1]]]]]]]}], canonical=False, endless=True)
def test_a_pack_is_the_same_in_json_and_in_cbor(pack: list[Any], canonical: bool, endless: bool) -> None:
    body = cbor2.dumps(in_cbor(pack), canonical=canonical, indefinite_containers=endless)
    assert told(body, senml_cbor) == told(orjson.dumps(pack), senml)


def test_the_example_of_the_rfc() -> None:
    assert cbor2.loads(EXAMPLE) == in_cbor(EXAMPLE_JSON)
    assert told(EXAMPLE, senml_cbor) == told(orjson.dumps(EXAMPLE_JSON), senml)
    assert len(parsed(EXAMPLE).batches) == 1


FORMS = {
    "half": "f94d00", "single": "fa41a00000", "double": "fb4034000000000000", "integer": "14", "of one byte": "1814",
    "of two": "190014", "of four": "1a00000014", "of eight": "1b0000000000000014", "20e0": "c4820014",
    "2e1": "c4820102", "200e-1": "c4822018c8", "in a longer head": "c49802190001 02",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_twenty_in_every_form(form: str) -> None:
    body = bytes.fromhex("81a300656c6967687406") + cbor2.dumps(T0) + b"\x02" + bytes.fromhex(FORMS[form])
    assert told(body, senml_cbor) == told(orjson.dumps([{"n": "light", "t": T0, "v": 20}]), senml)


@pytest.mark.parametrize("text", ["0.1", "1276020076.001", "120.1", "-3e-7", "1e22", "5e-324", "1e308"])
def test_a_decimal_fraction_is_the_number_that_its_text_is(text: str) -> None:
    assert Reader(cbor2.dumps(Decimal(text)), 9).scalar() == float(text)


def test_text_and_data_may_come_in_pieces() -> None:
    door = b"\xa3\x00\x7f\x62do\x62or\xff\x06" + cbor2.dumps(T0) + b"\x08\x5f\x41h\x40\x41i\xff"
    body = b"\x82" + door + b"\xa2\x00\x61s\x03\x7f\x61x\x60\x61y\xff"
    wanted = [{"n": "door", "t": T0, "vd": "aGk"}, {"n": "s", "vs": "xy"}]
    assert told(body, senml_cbor) == told(orjson.dumps(wanted), senml)
    assert len(parsed(body).batches) == 1


# --- what is wrong


def record(*pairs: tuple[Any, Any]) -> bytes:
    """A pack of one record, its pairs as they are: a dict could not hold them twice."""
    return b"\x81" + bytes([0xA0 + len(pairs)]) + b"".join(cbor2.dumps(one) for pair in pairs for one in pair)


N, T, V = (0, "light"), (6, T0), (2, 1)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (record(N, T, V, ("x_", 1)), "$[0].x_"),
        (record(N, T, V, ("x_", [1])), "$[0].x_"),
        (record(N, T, V, ("v", 1)), "$[0].v"),
        (record(N, T, V, V), "$[0].v"),
        (record(N, T, V, (b"x", 1)), "$[0]"),
        (record(N, T, V, (True, 1)), "$[0]"),
        (record(N, T, V, (2.0, 1)), "$[0]"),
        (record(N, T, V, ((1, 2), 1)), "$[0]"),
        (record(N, T, V, (None, 1)), "$[0]"),
        (record(N, T, (2, math.nan)), "$[0].v"),
        (record(N, T, (2, math.inf)), "$[0].v"),
        (record(N, T, (2, "1")), "$[0].v"),
        (record(N, T, (2, b"1")), "$[0].v"),
        (record(N, T, (2, [1])), "$[0].v"),
        (record(N, T, (2, {})), "$[0].v"),
        (record(N, T, (2, None)), "$[0].v"),
        (record(N, T, (2, cbor2.undefined)), "$[0].v"),
        (record(N, T, (2, 2**70)), "$[0].v"),
        (record(N, T, (2, cbor2.CBORTag(1, 1))), "$[0].v"),
        (record(N, T, (2, cbor2.CBORTag(4, [1, 2, 3]))), "$[0].v"),
        (record(N, T, (2, cbor2.CBORTag(4, [1, 2.0]))), "$[0].v"),
        (record(N, T, (2, cbor2.CBORTag(4, [2**63, 1]))), "$[0].v"),
        (record(N, T, (2, cbor2.CBORTag(28, [1]))), "$[0].v"),
        (record(N, T, (8, "aGk")), "$[0].vd"),
        (record((0, b"light"), T, V), "$[0].n"),
        (record(N, T, V, (-1, 10.0)), "$[0].bver"),
        (record(N, (6, math.nan), V), "$[0].t"),
        (b"\x81\x80", "$[0]"),
        (b"\x80", "$"),
        (b"\x9f\xff", "$"),
        (b"\xa0", "$"),
        (cbor2.dumps("x"), "$"),
        (cbor2.dumps(cbor2.CBORTag(55799, [{}])), "$"),
        (b"\xc4" * 100_000, "$"),
        (b"\x81" * 100_000, "$"),
        (b"\x81\xa1\x61x" + b"\x9f" * 100_000, "$"),
    ],
)
def test_what_is_wrong_refuses_the_pack_with_the_path(body: bytes, path: str) -> None:
    assert refusal(body) == path


@pytest.mark.parametrize(
    "extra", [(9, 1), (-7, "x"), ("colour", cbor2.CBORTag(28, [{(1, 2): 3.5}, b"x"])), ("ut", [1]), (7, 5)]
)
def test_what_is_not_known_is_ignored(extra: tuple[Any, Any]) -> None:
    assert told(record(N, T, V, extra), senml_cbor) == told(record(N, T, V), senml_cbor)
    assert len(parsed(record(N, T, V, extra)).batches) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'[{"n":"light","v":1}]',
        b"\xff",
        b"\x81\xff",
        b"\x81\xbf\x00\xff",
        b"\x81\xa1",
        EXAMPLE + b"\x00",
        EXAMPLE + EXAMPLE,
        b"\x81\xa1\x00\x62\xc3\x28",  # no UTF-8
        b"\x81\xa1\x00\x7f\x61\xc3\x61\xa9\xff",  # a character in two pieces
        b"\x81\xa1\x00\x7f\x41a\xff",  # a piece of another kind
        b"\x81\xa1\x00\x7f\x7f\xff\xff",
        b"\x81\xa1\x02\x1c",
        b"\x81\xa1\x02\x1f",
        b"\x81\xa1\x02\xdf\x00",
        b"\x81\xa1\x02\xf8\x14",
        b"\x81\xa1\x00\x7b" + b"\xff" * 8,
        b"\x81\xa1\x61x\x9b" + b"\xff" * 8,
        b"\x81\xbb" + b"\xff" * 8,
    ],
)
def test_what_is_no_cbor_is_malformed(body: bytes) -> None:
    refusal(body, Malformed)


def test_a_pack_has_as_many_records_as_a_batch_readings() -> None:
    many = [{0: "light", 2: k, 6: T0 + k} for k in range(11)]
    for body in (cbor2.dumps(many), cbor2.dumps(many, indefinite_containers=True), b"\x9b" + b"\xff" * 8):
        with pytest.raises(TooLarge, match="split it"):
            parsed(body, 10)
    assert parsed(cbor2.dumps(many[:10]), 10).batches


# --- as an adversary


@pytest.mark.parametrize(
    "inside",
    [
        b"\x9f" + b"\xa0" * 3_000 + b"\xff",
        b"\xbf" + b"".join(bytes([0x82, 0x20 + k % 2, 0x20, 0]) for k in range(500)) + b"\xff",  # equal hashes
        b"\x9f" + b"\xe0" * 3_000 + b"\xff",
    ],
)
def test_what_is_not_asked_for_is_never_built(inside: bytes) -> None:
    body = b"\x81\xa4" + record(N, T, V)[2:] + cbor2.dumps("x") + inside
    parsed(body)  # whatever is made once is made
    tracemalloc.start()
    assert parsed(body).batches
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 50_000


@pytest.mark.parametrize("inside", [b"\x9f" + b"\xa0" * 10_000, b"\x5f" + b"\x40" * 10_000, b"\xbf" + b"\x00" * 10_000])
def test_the_time_that_a_megabyte_of_items_takes_is_bounded(inside: bytes) -> None:
    with pytest.raises(TooLarge, match="3200 items"):
        parsed(b"\x81\xa1\x61x" + inside)


class AsTheyAre(Mapping[int, Callable[[Any, bool], Any]]):
    """Every tag's content, whatever the tag says."""

    def __getitem__(self, tag: int) -> Callable[[Any, bool], Any]:
        return lambda value, immutable: value

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda v: st.lists(v, max_size=3)
    | st.dictionaries(st.integers(-9, 9) | st.text(max_size=2), v, max_size=3)
    | st.builds(cbor2.CBORTag, st.sampled_from([0, 4, 28, 999]), v),
    max_leaves=6,
)  # fmt: skip


@unhurried
@given(
    body=st.binary(max_size=24) | _anything.map(cbor2.dumps),
    at=st.integers(0, 50),
    byte=st.none() | st.integers(0, 255),
)
def test_it_is_cbor_where_the_library_says_so(body: bytes, at: int, byte: int | None) -> None:
    """Where it begins with one item, both know it and where it ends; of a single value they read the same."""
    if byte is not None and body:
        body = body[: at % len(body)] + bytes([byte]) + body[at % len(body) + 1 :]
    reader = Reader(body, 99)
    try:
        reader.passed(0)
    except Malformed:
        with pytest.raises(cbor2.CBORDecodeError):
            cbor2.loads(body, semantic_decoders=AsTheyAre())
        return
    except Invalid:
        return
    theirs = cbor2.loads(body, semantic_decoders=AsTheyAre())
    if body[0] >> 5 in (4, 5, 6):
        return
    ours = Reader(body, 99).scalar()
    if isinstance(theirs, cbor2.CBORSimpleValue) or theirs is cbor2.undefined:
        assert ours is None
    else:
        assert type(ours) is type(theirs)
        assert repr(ours) == repr(theirs)


@unhurried
@given(body=st.binary(max_size=40))
def test_no_bytes_do_more_than_refuse(body: bytes) -> None:
    for prefix in (b"", b"\x81\xa3\x00\x61a\x02\x01", b"\x9f\xbf\x00\x61a\x02"):
        try:
            parsed(prefix + body)
        except (Malformed, Invalid, TooLarge):
            continue


def test_a_value_has_no_array() -> None:
    with pytest.raises(NoScalar):
        Reader(b"\x80", 9).scalar()
