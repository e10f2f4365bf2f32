"""The windows' operator and sink: what a simulated device's readings amount to, whatever stops and starts between."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.operator import Arrival, Lane
from consumers.windows import Due, WindowOperator, WindowOperators, WindowSink, windows_of
from simulator.world import World
from telemetry import metrics
from telemetry.batch import Batch, Dropped, Series
from telemetry.errors import Malformed, Misconfigured
from telemetry.ports import Item, Span
from telemetry.settings import Window
from telemetry.settings import Windows as Options
from telemetry.stores.memory import MemoryStore

S = 10**9
T0 = 1_763_800_000 * S
KINDS = Options(
    every_sensor=(Window(width_s=1), Window(kind="sliding", width_s=4, slide_s=2), Window(kind="session", gap_s=3)),
    lateness_s=2.0,
)


def arrival(batch: Batch, lane: Lane = Lane.LIVE, received_ns: int | None = None) -> Arrival:
    newest_ns = max((int(s.t.max()) for s in batch.series), default=T0)
    return Arrival(batch, lane, received_ns or newest_ns + S // 5, 0, batch.seq)


def one(
    *seconds: float, seq: int = 0, session: str = "s", sensor: str = "temperature", field: str = "celsius"
) -> Batch:
    t = [T0 + round(s * S) for s in seconds]
    return Batch("d", session, seq, (Series.of(sensor, t, {field: [float(s) for s in seconds]}),))


def simulated(seconds: int, session: str = "s") -> list[Batch]:
    world = World(7, "walk", T0 + 123_456_789)
    return [Batch("d", session, k, tuple(world.chunk(k))) for k in range(seconds)]


def newest(outputs: Iterable[Due]) -> dict[tuple[object, ...], tuple[object, ...]]:
    """What a store would hold."""
    kept: dict[tuple[object, ...], tuple[object, ...]] = {}
    for some in windows_of(list(outputs)):
        for k, start in enumerate(some.start_ns.tolist()):
            key = (some.device, some.sensor, some.session, some.kind, some.width_ns, start)
            # absent and NaN are the same
            features = {n: c[k].tobytes() for n, c in sorted(some.features.items()) if not np.isnan(c[k])}
            revision = int(some.revision[k])
            if key not in kept or kept[key][0] < revision:  # type: ignore[operator]
                kept[key] = (revision, int(some.end_ns[k]), int(some.count[k]), features)
    return kept


def applied(operator: WindowOperator, batches: Sequence[Batch]) -> list[Due]:
    return [due for batch in batches for due in operator.apply(arrival(batch))]


def counts(outputs: Iterable[Due], kind: str = "tumbling") -> dict[float, tuple[int, int]]:
    """Seconds -> (count, revision)."""
    kept = newest(outputs)
    return {(key[5] - T0) / S: (value[2], value[0]) for key, value in kept.items() if key[3] == kind}  # type: ignore


async def test_windows_are_what_duckdb_computes_from_the_raw_rows_of_a_simulated_device(tmp_path: Path) -> None:
    store = MemoryStore(retention_days=36_500)
    await store.start()
    operator = WindowOperators(Options()).fresh("d")
    outputs: list[Due] = []
    for batch in simulated(65):
        await store.write([Item(batch, str(batch.seq), T0, 0, batch.seq)])
        outputs += operator.apply(arrival(batch))
    outputs += operator.end_session("s")
    await WindowSink(store).write(outputs)
    checked = 0
    for sensor, fields in (
        ("acceleration", "xyz"),
        ("gyroscope", "xyz"),
        ("location", ("latitude", "altitude", "speed")),
        ("battery", ("level",)),
    ):
        span = Span("d", sensor, 0, 2**63 - 1)
        rows = await store.readings(span, limit=10**6)
        for width_ns in (S, 60 * S) if sensor == "location" else (S,):
            table = await store.windows(span, kind="tumbling", width_ns=width_ns, limit=10**6)
            found = {row["t"]: row for row in table.to_pylist()}
            connection = duckdb.connect().from_arrow(rows)
            columns = ", ".join(
                f"count({f}), min({f}), max({f}), avg({f}::DOUBLE), stddev_pop({f}::DOUBLE)" for f in fields
            )
            start = f"t - t % {width_ns}"
            asked = connection.aggregate(f"{start} AS s, count(*), {columns}", start).fetchall()
            assert len(asked) == len(found)
            for begin, count, *values in asked:
                assert found[begin]["count"] == count
                assert found[begin]["end"] == begin + width_ns
                for i, name in enumerate(fields):
                    n, low, high, mean, std = values[5 * i : 5 * i + 5]
                    window = found[begin]
                    assert (window[f"{name}_count"], window[f"{name}_min"], window[f"{name}_max"]) == (n, low, high)
                    assert window[f"{name}_mean"] == pytest.approx(mean, rel=1e-9)
                    # duckdb takes it from one pass and is the less exact of the two
                    assert window[f"{name}_std"] == pytest.approx(std, rel=1e-6, abs=1e-9)
                    checked += 1
    assert checked > 500


@settings(max_examples=25)
@given(st.lists(st.integers(0, 6_500), max_size=30), st.sets(st.integers(0, 30)))
def test_neither_where_batches_were_cut_nor_a_restart_changes_a_bit(cuts: list[int], restarts: set[int]) -> None:
    whole = [series for batch in simulated(9) for series in batch.series if series.sensor == "acceleration"]
    t = np.concatenate([s.t for s in whole])
    values = {axis: np.concatenate([np.asarray(s.values[axis]) for s in whole]) for axis in "xyz"}
    cuts = sorted({0, len(t), *(c % len(t) for c in cuts)})
    batches = [
        Batch("d", "s", k, (Series.of("acceleration", t[a:b], {n: v[a:b] for n, v in values.items()}),))
        for k, (a, b) in enumerate(pairwise(cuts))
    ]
    made_by = WindowOperators(KINDS)
    operator, outputs = made_by.fresh("d"), []
    for k, batch in enumerate(batches):
        if k in restarts:
            operator = made_by.thaw("d", operator.freeze())
        outputs += operator.apply(arrival(batch))
    outputs += operator.end_session("s")
    assert newest(outputs) == _uncut()


def _uncut() -> dict[tuple[object, ...], tuple[object, ...]]:
    if not _UNCUT:
        operator = WindowOperators(KINDS).fresh("d")
        batches = [
            Batch("d", "s", b.seq, tuple(s for s in b.series if s.sensor == "acceleration")) for b in simulated(9)
        ]
        _UNCUT.append(newest([*applied(operator, batches), *operator.end_session("s")]))
    return _UNCUT[0]


_UNCUT: list[dict[tuple[object, ...], tuple[object, ...]]] = []


def test_a_thawed_operator_says_word_for_word_what_the_other_would() -> None:
    made_by = WindowOperators(KINDS)
    batches = simulated(8)
    straight = made_by.fresh("d")
    for k, batch in enumerate(batches):
        again = made_by.thaw("d", straight.freeze())
        assert again.freeze() == straight.freeze()
        assert (again.due_ns, again.size_bytes) == (straight.due_ns, straight.size_bytes)
        expected, found = straight.apply(arrival(batch)), again.apply(arrival(batch))
        assert [(w.sensor, w.windows.start_ns.tolist()) for w in expected] == [
            (w.sensor, w.windows.start_ns.tolist()) for w in found
        ], k
        assert newest(expected) == newest(found)
        assert again.freeze() == straight.freeze()


def test_sessions_do_not_touch_each_other_and_end_alone() -> None:
    operator = WindowOperators(Options()).fresh("d")
    outputs = list(operator.apply(arrival(one(0.1, 0.2, session="a"))))
    outputs += operator.apply(arrival(one(0.5, session="b"), Lane.BACKLOG))
    assert outputs == []
    (ended,) = windows_of(operator.end_session("a"))
    assert (ended.session, ended.count.tolist()) == ("a", [2])
    assert operator.end_session("a") == []
    (ended,) = windows_of(operator.end_session("b"))
    assert (ended.session, ended.count.tolist()) == ("b", [1])
    assert operator.size_bytes == 0


def test_a_late_batch_counts_within_the_lateness_and_is_counted_beyond_it() -> None:
    operator = WindowOperators(Options()).fresh("d")
    counter = metrics.windows_left_out.labels("too_late")
    before = counter._value.get()
    outputs = list(operator.apply(arrival(one(10.0, 11.0, 12.0, seq=9))))
    outputs += operator.apply(arrival(one(*[1.0] * 9, 8.5, 10.5, seq=3), Lane.LATE))
    assert counts(outputs) == {8: (1, 1), 10: (2, 1), 11: (1, 0)}
    assert counter._value.get() == before + 9
    outputs += operator.apply(arrival(one(13.0, seq=10)))
    assert counts(outputs) == {8: (1, 1), 10: (2, 1), 11: (1, 0), 12: (1, 0)}


def test_a_device_that_falls_silent_gets_its_last_windows_and_they_grow_when_it_goes_on() -> None:
    operator = WindowOperators(Options()).fresh("d")
    assert operator.due_ns is None
    outputs = list(operator.apply(arrival(one(0.0, 0.2), received_ns=T0 + S)))
    assert operator.due_ns == T0 + 11 * S
    assert operator.pass_time(T0 + 10 * S) == ()
    assert outputs == []
    outputs += operator.pass_time(T0 + 11 * S)
    assert counts(outputs) == {0: (2, 0)}
    assert operator.due_ns is None
    outputs += operator.apply(arrival(one(0.4, 0.6, 1.1, seq=1), received_ns=T0 + 30 * S))
    assert counts(outputs) == {0: (4, 2)}


def test_a_sensor_that_falls_silent_while_others_go_on_is_written() -> None:
    operator = WindowOperators(Options()).fresh("d")
    outputs = list(operator.apply(arrival(one(0.5))))
    for k in range(1, 12):
        outputs += operator.apply(arrival(one(k + 0.5, seq=k, sensor="humidity", field="relative")))
        written = [w.sensor for w in outputs if w.sensor == "temperature"]
        assert written == (["temperature"] if k == 11 else [])


def test_what_has_no_numbers_or_no_window_has_no_state() -> None:
    options = Options(sensors={"temperature": ()})
    operator = WindowOperators(options).fresh("d")
    texts = Series.of("camera", [T0], {"image_format": ["jpg"]})
    unknown = Series("frobnicator", np.array([T0]), MappingProxyType({}), ('{"a":1}',))
    empty = Series.of("humidity", [], {"relative": []})
    batch = Batch("d", "s", 0, (unknown, empty))
    assert operator.apply(arrival(Batch("d", "s", 0, (), Dropped(5, "full")))) == []
    assert operator.apply(Arrival(batch, Lane.LIVE, T0, 0, 0)) == []
    assert operator.apply(arrival(one(1.0, 2.0, 3.0))) == []
    operator.apply(arrival(Batch("d", "s", 1, (texts,))))
    assert (operator.due_ns, operator.size_bytes) == (None, 0)


def test_unusable_values_are_left_out_by_name_and_the_rest_of_their_row_counts() -> None:
    operator = WindowOperators(Options()).fresh("d")
    before = metrics.windows_left_out.labels("value")._value.get()
    t = np.array([T0, T0 + S // 2, T0 + S])
    series = Series("location", t, MappingProxyType({"latitude": np.array([np.inf, 1e300, 1.0]), "speed": np.ones(3)}))
    outputs = operator.apply(arrival(Batch("d", "s", 0, (series,))))
    (window,) = windows_of(outputs)
    assert window.count.tolist() == [2]
    assert window.features["latitude_count"].tolist() == [0.0]
    assert window.features["speed_mean"].tolist() == [1.0]
    assert all(np.isfinite(column).all() for column in window.features.values())
    assert metrics.windows_left_out.labels("value")._value.get() == before + 2


def test_the_state_of_a_phone_stays_within_what_is_said() -> None:
    operator = WindowOperators(Options()).fresh("d")
    sizes, frozen = [], []
    for batch in simulated(70):
        operator.apply(arrival(batch))
        sizes.append(operator.size_bytes)
        frozen.append(len(operator.freeze()))
    # six motion sensors of 100 Hz, one of them of seven fields, a GPS with a minute of panes
    assert max(sizes) < 384 * 1024
    assert max(frozen) < 128 * 1024
    assert max(sizes[40:]) < 1.5 * max(sizes[8:40])


@pytest.mark.parametrize("damage", [b"", b"x", "cut", "other"])
def test_damaged_or_foreign_state_is_malformed(damage: bytes | str) -> None:
    operator = WindowOperators(KINDS).fresh("d")
    applied(operator, simulated(3))
    state = operator.freeze()
    made_by = WindowOperators(KINDS)
    if damage == "cut":
        state = state[:-20]
    elif damage == "other":  # windows of other settings
        made_by = WindowOperators(Options())
    else:
        assert isinstance(damage, bytes)
        state = damage
    with pytest.raises(Malformed):
        made_by.thaw("d", state)


def test_settings_that_need_too_many_panes_are_refused() -> None:
    with pytest.raises(Misconfigured, match="greatest common"):
        WindowOperators(Options(every_sensor=(Window(width_s=3600), Window(width_s=0.001))))


async def test_the_sink_joins_a_streams_windows_and_a_repetition_changes_nothing() -> None:
    operator = WindowOperators(Options()).fresh("d")
    outputs = [*operator.apply(arrival(one(0.0, 1.0, 2.0))), *operator.apply(arrival(one(0.5, 3.0, seq=1)))]
    assert len(outputs) == 2
    (window,) = windows_of(outputs)
    assert window.start_ns.tolist() == [T0, T0 + S, T0 + 2 * S]
    assert window.revision.tolist() == [1, 0, 0]
    assert window.count.tolist() == [2, 1, 1]
    assert window.features["celsius_max"].tolist() == [0.5, 1.0, 2.0]
    store = MemoryStore(retention_days=36_500)
    await store.start()
    sink, span = WindowSink(store), Span("d", "temperature", 0, 2**63 - 1)
    await sink.write(outputs)
    table = await store.windows(span, kind="tumbling", width_ns=S, limit=10)
    await sink.write(outputs[:1])
    await sink.write([])
    assert await store.windows(span, kind="tumbling", width_ns=S, limit=10) == table
    assert table.column("count").to_pylist() == [2, 1, 1]
