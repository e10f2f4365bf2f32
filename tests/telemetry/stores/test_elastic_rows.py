"""A batch as bulk operations: every reading once, under an id of its own, in the index of its day."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import Batch, BatchId, Series
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._days import DAY_NS
from telemetry.stores._elastic_names import Names, from_iso, iso, iso_text
from telemetry.stores._elastic_rows import Window, chunks_of, id_prefix
from tests.telemetry.stores.test_elastic_smile import Reader

NAMES = Names("p-")
T0 = 1_760_000_000_000_000_000
WIDE = Window.of(T0, oldest_ns=0, late_days_max=90)


def operations(batch: Batch, window: Window = WIDE) -> list[tuple[str, str, dict[str, Any]]]:
    """(index, id, document) of each."""
    found = []
    for chunk in chunks_of(0, batch, T0, window, NAMES):
        reader, count = Reader(chunk.body), 0
        while reader.at < len(chunk.body):
            action, document = reader.document(), reader.document()
            found.append((chunk.index, action["create"]["_id"], document))
            count += 1
        assert count == chunk.operations == chunk.body.count(smile.END) // 2
    return found


def test_a_reading_is_a_document_with_all_that_says_whose_it_is() -> None:
    series = Series.of("acceleration", [T0, T0 + 1], {"x": [1.5, 2.5], "accuracy": [3, 3]})
    first, second = operations(Batch("d", "s", 2**62, (series,)))
    assert first[2] == {
        "@timestamp": iso(T0),
        "device": "d",
        "session": "s",
        "seq": 2**62,
        "sensor": "acceleration",
        "series": 0,
        "i": 0,
        "x": 1.5,
        "accuracy": 3.0,
    }
    assert (second[2]["i"], second[2]["@timestamp"]) == (1, "2025-10-09T08:53:20.000000001Z")


def test_what_is_absent_is_not_there() -> None:
    values = {"level": [0.5, np.nan, 0.25], "state": ["full", None, "ä"], "low_power": [True, False, None]}
    series = Series.of("battery", [T0, T0, T0], values, [None, '{"k":1}', None])
    documents = [d for _, _, d in operations(Batch("d", "s", 0, (series,)))]
    kept = [{k: d[k] for k in ("level", "state", "low_power", "extra") if k in d} for d in documents]
    assert kept == [
        {"level": 0.5, "state": "full", "low_power": True},
        {"low_power": False, "extra": '{"k":1}'},
        {"level": 0.25, "state": "ä"},
    ]


def test_a_flag_that_every_reading_has() -> None:
    series = Series.of("battery", [T0, T0], {"low_power": [True, False]})
    assert [d["low_power"] for _, _, d in operations(Batch("d", "s", 0, (series,)))] == [True, False]


def test_a_place_is_a_point_where_both_of_its_numbers_are_there() -> None:
    whole = Series.of("location", [T0], {"latitude": [48.25], "longitude": [11.5]})
    torn = Series.of("location", [T0, T0], {"latitude": [1.0, np.nan], "longitude": [2.0, 3.0]})
    points = [d.get("location") for _, _, d in operations(Batch("d", "s", 0, (whole, torn)))]
    assert points == [[11.5, 48.25], [2.0, 1.0], None]


def test_ids_differ_within_and_between_batches_and_rise_with_the_receive_time() -> None:
    series = tuple(Series.of("acceleration", np.full(300, T0), {"x": np.arange(300)}) for _ in range(3))
    ids = [id_ for seq in range(3) for _, id_, _ in operations(Batch("d", "s", seq, series))]
    assert len(set(ids)) == len(ids) == 2700
    assert {len(id_) for id_ in ids} == {24}
    prefixes = [id_prefix(BatchId("d", "s", 1), T0 + k * 1000) for k in (0, 1, 63, 64, 10**6, 10**12)]
    order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert prefixes == sorted(prefixes, key=lambda p: [order.index(chr(c)) for c in p])


@given(st.lists(st.integers(-400, 400), min_size=1, max_size=30), st.integers(1, 300), st.integers(1, 100))
def test_every_reading_is_in_one_index_or_expired(days: list[int], retention_days: int, late_days_max: int) -> None:
    today = T0 // DAY_NS
    window = Window.of(T0, oldest_ns=T0 - retention_days * DAY_NS, late_days_max=late_days_max)
    t = [T0 + day * DAY_NS for day in days]
    found = operations(Batch("d", "s", 0, (Series.of("acceleration", t, {"x": list(range(len(t)))}),)), window)
    index_of = {d["i"]: index for index, _, d in found}
    assert len(index_of) == len(found)
    for i, day in enumerate(days):
        if day < -retention_days:
            assert i not in index_of
        elif -late_days_max <= day <= 1:
            assert index_of[i] == NAMES.day(today + day)
        else:
            assert index_of[i] == NAMES.skewed


@given(st.integers(0, 2**63 - 1))
def test_a_time_reads_back_to_the_nanosecond(t_ns: int) -> None:
    assert from_iso(iso(t_ns)) == t_ns
    assert len(iso(t_ns)) == 30


def test_times_are_written_each_by_itself() -> None:
    t = np.array([T0 + 999_999_999, T0, 0, 2**63 - 1, T0], np.int64)
    assert [row.tobytes().decode() for row in iso_text(t)] == [iso(int(x)) for x in t]


def test_an_index_has_the_name_of_its_day() -> None:
    assert NAMES.day(T0 // DAY_NS) == "p-readings-2025.10.09"
    assert NAMES.day_of("p-readings-2025.10.09") == T0 // DAY_NS
    assert NAMES.day_of(NAMES.skewed) is None
