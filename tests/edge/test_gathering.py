"""A cursor leaves with the cut that holds the last of its readings: never earlier, never later."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.batcher import CutLimits
from edge.gathering import Gathered, Gathering
from telemetry.batch import Series

ROOMY = CutLimits(period_s=10.0)


def series(begin: int, n: int, sensor: str = "pressure") -> Series:
    times = np.arange(begin, begin + n, dtype=np.int64)
    field = {"pressure": "pressure", "humidity": "humidity"}.get(sensor, "x")
    return Series.of(sensor, times, {field: np.full(n, 5.0)})


def test_it_waits_for_the_period_with_its_readings() -> None:
    gathering = Gathering(ROOMY)
    assert gathering.append("a", [series(0, 5)], "5", 0.0) is None
    assert gathering.append("b", [series(0, 5)], None, 1.0) is None
    due = gathering.append("a", [series(5, 5)], "10", 10.0)
    assert due is not None
    assert due.cursors == {"a": "10"}
    assert sum(len(s) for cut in due.cuts for s in cut) == 15
    assert gathering.flush() is None


def test_what_a_full_batch_pushes_out_takes_the_cursor_of_before() -> None:
    gathering = Gathering(CutLimits(readings_max=10, period_s=10.0))
    assert gathering.append("a", [series(0, 6)], "6", 0.0) is None
    due = gathering.append("a", [series(6, 6)], "12", 0.0)
    assert due is not None
    assert due.cursors == {"a": "6"}
    rest = gathering.flush()
    assert rest is not None
    assert rest.cursors == {"a": "12"}


def test_a_cursor_without_readings_goes_at_once_when_nothing_waits() -> None:
    gathering = Gathering(ROOMY)
    assert gathering.append("a", [], "9", 0.0) == Gathered([], {"a": "9"})


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.lists(st.tuples(st.sampled_from(["pressure", "humidity"]), st.integers(0, 25)), max_size=3),
            st.booleans(),
            st.floats(0, 3),
        ),
        max_size=40,
    ),
    st.integers(1, 12),
)
def test_in_any_mix_each_transaction_holds_a_source_up_to_its_cursor(puts: list[Any], readings_max: int) -> None:
    gathering = Gathering(CutLimits(readings_max=readings_max, period_s=4.0))
    now_s, taken = 0.0, 0
    readings = {"a": 0, "b": 0, "c": 0}  # given so far, by source
    stamps: dict[int, str] = {}  # whose reading a time is
    durable = dict.fromkeys(readings, 0)
    uses_cursor = {"a": True, "b": True, "c": False}

    def commit(due: Gathered | None) -> None:
        if due is None:
            return
        for cut in due.cuts:
            for one in cut:
                for t in one.t.tolist():
                    durable[stamps[t]] += 1
        for source, cursor in due.cursors.items():
            assert durable[source] == int(cursor), source
        for source, n in durable.items():  # and none is left without its cursor
            if uses_cursor[source] and n and due.cuts:
                assert source in due.cursors or n == last.get(source, 0), source
        last.update({source: int(cursor) for source, cursor in due.cursors.items()})

    last: dict[str, int] = {}
    for source, parts, is_empty, after_s in puts:
        now_s += after_s
        given_series = []
        for sensor, n in [] if is_empty else parts:
            given_series.append(series(taken, n, sensor))
            stamps.update(dict.fromkeys(range(taken, taken + n), source))
            taken += n
            readings[source] += n
        commit(gathering.append(source, given_series, str(readings[source]) if uses_cursor[source] else None, now_s))
    commit(gathering.flush())
    assert durable == readings
