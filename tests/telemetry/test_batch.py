"""The canonical form: same readings, same series, whatever they came as."""

import numpy as np
import pytest

from telemetry import wire
from telemetry.batch import (
    DEPTH_MAX,
    Batch,
    BatchId,
    Series,
    check_name,
    depth,
    is_name,
    narrow,
    out_of_range,
    packed_floats,
    packed_times,
)
from telemetry.errors import Invalid
from telemetry.reading import CATALOGUE, Kind

X = CATALOGUE["acceleration"].by_name["x"]


def _bytes(series: Series) -> bytes:
    return wire.encode(Batch("d", "s", 0, (series,)))


def test_the_same_readings_have_the_same_bytes_however_they_were_held() -> None:
    lists = Series.of("gravity", [1, 2], {"z": [3.1, None], "x": [1, 2]})
    arrays = Series.of("gravity", np.array([1, 2]), {"x": np.array([1.0, 2.0]), "z": np.array([3.1, np.nan])})
    x, z = np.array([1, 2], np.float32), np.array([3.1, np.nan], np.float32)
    single = Series.of("gravity", (1, 2), {"x": x, "z": z, "y": [None, None]})
    assert _bytes(lists) == _bytes(arrays) == _bytes(single)
    assert list(lists.values) == ["x", "z"], "the catalogue's order; y, absent from all, is not there"


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(Invalid) as e:
        Series.of("gravity", [1, 2], {"x": [1.0]})
    assert e.value.path == "values.x"
    with pytest.raises(Invalid) as e:
        Series.of("gravity", [1, 2], {}, ["{}"])
    assert e.value.path == "extra"


def test_extras_that_are_all_none_are_no_extras() -> None:
    assert Series.of("gravity", [1], {"x": [1.0]}, [None]).extra is None
    assert Series.of("gravity", [1], {"x": [1.0]}, ['{"a":1}']).extra == ('{"a":1}',)


def test_identity_and_count() -> None:
    one = Series.of("gravity", [1, 2], {"x": [1, 2]})
    batch = Batch("d", "s", 7, (one, one))
    assert batch.id == BatchId("d", "s", 7)
    assert batch.readings == 4


def test_narrowing() -> None:
    column = narrow(X, [0.1, None])
    assert isinstance(column, np.ndarray)
    assert column.dtype == np.float32
    assert column[0] == np.float32(0.1)
    assert np.isnan(column[1])
    assert narrow(X, [None, None]) is None
    assert narrow(X, []) is None
    assert narrow(CATALOGUE["annotation"].by_name["text"], [None]) is None
    assert narrow(CATALOGUE["annotation"].by_name["text"], [None, "a"]) == (None, "a")


def test_range_is_checked_after_narrowing() -> None:
    column = narrow(X, [1e39, 4000.0, -4000.001, None])
    assert isinstance(column, np.ndarray)
    assert out_of_range(X, column).tolist() == [True, False, True, False]


@pytest.mark.parametrize("values", [[], [1.5], [0.1, -0.0, 1e39, -1e300], [None, 1.0], [None], [1, 2**70]])
@pytest.mark.parametrize("kind", [Kind.FLOAT32, Kind.FLOAT64])
def test_packed_floats_are_what_numpy_makes(values: list[float | None], kind: Kind) -> None:
    with np.errstate(over="ignore"):
        wanted = np.array(values, np.float32 if kind is Kind.FLOAT32 else np.float64)
    packed = packed_floats(values, kind)
    assert packed.dtype == wanted.dtype
    assert packed.tobytes() == wanted.tobytes()
    packed += 1  # writable


def test_packed_times_keep_every_nanosecond() -> None:
    times = [0, 1, 1675646835546228200, 2**63 - 1, -(2**63)]
    assert packed_times(times).tolist() == times
    assert packed_times([]).tolist() == []
    with pytest.raises(OverflowError):
        packed_times([2**63])
    for wrong in ([1.0], ["1"], [None]):
        with pytest.raises(TypeError):
            packed_times(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("good", ["a", "pi-7f3a", "A.b_c-9", "...", "x" * 64])
def test_good_names(good: str) -> None:
    assert is_name(good)
    assert check_name(good, "$.device") == good


@pytest.mark.parametrize("bad", ["", ".", "..", "x" * 65, "a/b", "a b", "ä", "a\n", "../x", "a\x00"])
def test_bad_names(bad: str) -> None:
    assert not is_name(bad)
    with pytest.raises(Invalid) as e:
        check_name(bad, "$.device")
    assert e.value.path == "$.device"


def test_depth() -> None:
    assert depth(1) == 0
    assert depth([]) == 1
    assert depth({"a": [1, {"b": 2}]}) == 3
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert depth(deep) > DEPTH_MAX, "and no RecursionError"
    while isinstance(deep, list):  # taken apart by hand: to free it at once would recurse
        deep = deep.pop()
