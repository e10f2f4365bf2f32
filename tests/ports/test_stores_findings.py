"""What every store promises of anomalies and windows, held over every adapter."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stores_bench import *  # noqa: F403 - its fixtures
from stores_builders import Bench
from stores_findings import anomaly, bare, windows
from stores_samples import DAY, SECOND, T0, batch, item, rows

from telemetry.anomaly import Asked, Severity
from telemetry.errors import StoreUnavailable
from telemetry.ports import Counts, Span, Store

WHOLE = Span("d1", "acceleration", 0, 2**63 - 1)
EVERY: dict[str, Any] = {"kind": "tumbling", "width_ns": SECOND, "limit": 1000}


async def ids(store: Store, **asked: Any) -> list[str]:
    return [found.id for found in await store.anomalies(Asked(**asked))]


# --- anomalies ------------------------------------------------------------------------------------------------


async def test_an_anomaly_comes_back_bit_for_bit_at_once(bench: Bench, store: Store) -> None:
    put = anomaly()
    await store.put_anomalies([put])
    assert await store.anomaly(put.id) == put
    assert await store.anomalies(Asked()) == [bare(put)]
    assert math.copysign(1, (await store.anomalies(Asked()))[0].evidence[1].seen) == -1
    assert await store.anomaly("0" * 32) is None
    assert await store.anomaly("") is None


@pytest.mark.parametrize("together", [True, False])
async def test_the_highest_version_stays_whatever_the_order(store: Store, together: bool) -> None:
    versions = [anomaly(version=v, score=float(v), is_open=v < 3) for v in (2, 3, 1, 3)]
    versions[-1] = anomaly(version=3, score=99.0)  # the same version again changes nothing
    for part in [versions] if together else [[v] for v in versions]:
        await store.put_anomalies(part)
    (kept,) = await store.anomalies(Asked())
    assert kept == bare(versions[1])
    assert await store.anomaly(kept.id) == versions[1]
    await store.put_anomalies([anomaly(version=4, end_ns=T0 + DAY)])
    assert [(a.version, a.end_ns) for a in await store.anomalies(Asked())] == [(4, T0 + DAY)]


async def test_putting_none_is_nothing(store: Store) -> None:
    await store.put_anomalies([])
    await store.put_windows([])
    await store.put_windows([windows(0)])
    assert await store.anomalies(Asked()) == []


async def test_the_latest_start_comes_first_then_the_id(store: Store) -> None:
    put = [anomaly(T0 + k // 3, stream=f"m{k}") for k in range(12)]
    await store.put_anomalies(put)
    expected = [a.id for a in sorted(put, key=lambda a: (-a.start_ns, a.id))]
    assert await ids(store) == expected
    assert await ids(store, limit=5) == expected[:5]
    assert await ids(store, limit=0) == []


async def test_pages_follow_each_other_without_a_gap_or_a_repetition(store: Store) -> None:
    await store.put_anomalies([anomaly(T0 + k // 4, stream=f"m{k}") for k in range(23)])
    whole, paged, after = await ids(store), [], None
    while page := await store.anomalies(Asked(limit=3, after=after)):
        paged += [a.id for a in page]
        after = (page[-1].start_ns, page[-1].id)
    assert paged == whole
    assert len(whole) == 23


async def test_those_that_touch_the_span(store: Store) -> None:
    await store.put_anomalies([anomaly(T0 + k * 10 * SECOND, stream=f"m{k}") for k in range(5)])  # each lasts 2 s
    by_start = {a.id: (a.start_ns - T0) // (10 * SECOND) for a in await store.anomalies(Asked())}

    async def touched(from_ns: int, to_ns: int) -> list[int]:
        return [by_start[id_] for id_ in await ids(store, from_ns=from_ns, to_ns=to_ns)]

    assert await touched(T0 + 10 * SECOND, T0 + 30 * SECOND) == [2, 1]
    assert await touched(T0 + 10 * SECOND, T0 + 30 * SECOND + 1) == [3, 2, 1]
    assert await touched(T0 + 12 * SECOND, T0 + 13 * SECOND) == [1], "it ends at that very moment"
    assert await touched(T0 + 12 * SECOND + 1, T0 + 20 * SECOND) == []
    assert await touched(T0 + 11 * SECOND, T0 + 11 * SECOND + 1) == [1], "the span lies within it"
    assert await touched(T0 + 11 * SECOND, T0 + 11 * SECOND) == []
    assert await touched(T0 + 40 * SECOND, T0) == []
    assert await touched(0, 2**63 - 1) == [4, 3, 2, 1, 0]


async def test_a_list_may_be_narrowed(store: Store) -> None:
    put = [
        anomaly(T0 + 0, device="d1", kind="fall", severity=Severity.CRITICAL, is_open=False),
        anomaly(T0 + 1, device="d1", kind="stuck", severity=Severity.INFO),
        anomaly(T0 + 2, device="d2", kind="fall", severity=Severity.CRITICAL),
    ]
    await store.put_anomalies(put)
    a, b, c = (found.id for found in put)
    assert await ids(store, device="d1") == [b, a]
    assert await ids(store, kind="fall") == [c, a]
    assert await ids(store, severity=Severity.CRITICAL) == [c, a]
    assert await ids(store, is_open=True) == [c, b]
    assert await ids(store, is_open=False) == [a]
    assert await ids(store, device="d1", kind="fall", severity=Severity.CRITICAL, is_open=False) == [a]
    assert await ids(store, device="d3") == []
    assert await ids(store, kind="it's") == []


async def test_times_at_the_ends_of_what_there_can_be(store: Store) -> None:
    first, last = anomaly(0), anomaly(2**63 - 1 - 2 * SECOND)
    await store.put_anomalies([first, last])
    assert await store.anomalies(Asked()) == [bare(last), bare(first)]
    assert await store.anomaly(last.id) == last


# --- windows --------------------------------------------------------------------------------------------------


async def test_windows_come_back_by_start_and_session(bench: Bench, store: Store) -> None:
    await store.put_windows([windows(3, session="s2"), windows(2, session="s1", x_rms=[1 / 3, np.nan], z_min=5e-324)])
    await bench.settle(store)
    found = await store.windows(WHOLE, **EVERY)
    assert found.column_names == ["t", "end", "session", "count", "x_mean", "x_power_0.5_1hz", "x_rms", "z_min"]
    whole, text, number = pa.int64(), pa.string(), pa.float64()
    assert found.schema.types == [whole, whole, text, whole, number, number, number, number]
    keys = [(r["t"], r["end"], r["session"], r["count"]) for r in rows(found)]
    assert keys == [
        (T0, T0 + SECOND, "s1", 100),
        (T0, T0 + SECOND, "s2", 100),
        (T0 + SECOND, T0 + 2 * SECOND, "s1", 100),
        (T0 + SECOND, T0 + 2 * SECOND, "s2", 100),
        (T0 + 2 * SECOND, T0 + 3 * SECOND, "s2", 100),
    ]
    assert found["x_rms"].to_pylist() == [1 / 3, 0.0, None, 1 / 3, 2 / 3]
    assert found["z_min"].to_pylist() == [5e-324, None, 5e-324, None, None]
    assert (await store.windows(WHOLE, **EVERY | {"limit": 2}))["session"].to_pylist() == ["s1", "s2"]


async def test_huge_and_infinite_features(bench: Bench, store: Store) -> None:
    await store.put_windows([windows(4, x_rms=[1e300, np.inf, -np.inf, -1e-300], y_rms=np.nan)])
    await bench.settle(store)
    found = await store.windows(WHOLE, **EVERY)
    assert found["x_rms"].to_pylist() == [1e300, None, None, -1e-300]
    assert "y_rms" not in found.column_names


@pytest.mark.parametrize("together", [True, False])
async def test_the_highest_revision_of_a_window_stays(bench: Bench, store: Store, together: bool) -> None:
    sent = [
        windows(3, revision=1, count=7, x_rms=1.0),
        windows(1, revision=3, count=9, x_rms=3.0),
        windows(2, revision=2, count=8, x_rms=2.0, x_new=5.0),
        windows(3, revision=1, count=1, x_rms=9.0),
    ]
    for part in [sent] if together else [[w] for w in sent]:
        await store.put_windows(part)
    await bench.settle(store)
    found = await store.windows(WHOLE, **EVERY)
    assert (found["count"].to_pylist(), found["x_rms"].to_pylist()) == ([9, 8, 7], [3.0, 2.0, 1.0])
    assert found["x_new"].to_pylist() == [None, 5.0, None]


async def test_a_window_that_was_merged_is_not_shown_and_does_not_come_back(bench: Bench, store: Store) -> None:
    gap: dict[str, Any] = {"kind": "session", "width_ns": 0}
    await store.put_windows([windows(3, **gap)])
    await store.put_windows([windows(1, t0=T0 + SECOND, count=0, revision=1, **gap)])
    await store.put_windows([windows(3, **gap)])
    await bench.settle(store)
    found = await store.windows(WHOLE, limit=2, **gap)
    assert found["t"].to_pylist() == [T0, T0 + 2 * SECOND]
    assert (await store.windows(WHOLE, limit=1, **gap))["t"].to_pylist() == [T0]


async def test_windows_of_another_kind_width_sensor_or_device_are_others(bench: Bench, store: Store) -> None:
    others = [{"kind": "sliding"}, {"width_ns": 2 * SECOND}, {"sensor": "gyroscope"}, {"device": "d2"}]
    await store.put_windows([windows(1, x_rms=0.0), *(windows(1, x_rms=k, **o) for k, o in enumerate(others, 1))])
    await bench.settle(store)
    assert (await store.windows(WHOLE, **EVERY))["x_rms"].to_pylist() == [0.0]
    assert (await store.windows(WHOLE, **EVERY | {"kind": "sliding"}))["x_rms"].to_pylist() == [1.0]
    assert (await store.windows(WHOLE, **EVERY | {"width_ns": 2 * SECOND}))["x_rms"].to_pylist() == [2.0]
    assert (await store.windows(Span("d1", "gyroscope", 0, 2**63 - 1), **EVERY))["x_rms"].to_pylist() == [3.0]
    assert (await store.windows(Span("d2", "acceleration", 0, 2**63 - 1), **EVERY))["x_rms"].to_pylist() == [4.0]
    nothing = await store.windows(Span("d9", "acceleration", 0, 2**63 - 1), **EVERY)
    assert (nothing.num_rows, nothing.column_names) == (0, ["t", "end", "session", "count"])


async def test_windows_start_within_the_span_over_many_days(bench: Bench, store: Store) -> None:
    midnight = T0 // DAY * DAY
    await store.put_windows([windows(6, t0=midnight - 2 * DAY, width_ns=12 * 3600 * SECOND)])
    await bench.settle(store)
    every = {"kind": "tumbling", "width_ns": 12 * 3600 * SECOND, "limit": 9}
    found = await store.windows(Span("d1", "acceleration", midnight - DAY, midnight), **every)
    assert found["t"].to_pylist() == [midnight - DAY, midnight - DAY // 2]
    none = await store.windows(Span("d1", "acceleration", midnight, midnight), **every)
    assert none.num_rows == 0


async def test_an_impossible_clock_hides_no_window(bench: Bench, store: Store) -> None:
    for t0 in (0, 2**63 - 1 - 10 * SECOND):
        await store.put_windows([windows(2, t0=t0)])
    await store.put_windows([windows(2, t0=0, revision=1, count=3)])
    await bench.settle(store)
    found = await store.windows(WHOLE, **EVERY)
    assert found["count"].to_pylist() == [3, 3, 100, 100]


# --- deletion, retention --------------------------------------------------------------------------------------


async def test_deleting_a_device_takes_its_anomalies_and_windows(bench: Bench, store: Store) -> None:
    for device in ("d1", "d2"):
        await store.write([item(batch(device))])
        await store.put_anomalies([anomaly(device=device)])
        await store.put_windows([windows(3, device=device)])
    await bench.settle(store)
    assert await store.counts() == Counts(readings=10, batches=2, devices=2), "anomalies and windows are no readings"
    assert await store.delete_device("d1") == 5, "rows, as before"
    await bench.settle(store)
    assert await store.anomaly(anomaly(device="d1").id) is None
    assert await store.anomalies(Asked()) == [bare(anomaly(device="d2"))]
    assert (await store.windows(WHOLE, **EVERY)).num_rows == 0
    assert (await store.windows(Span("d2", "acceleration", 0, 2**63 - 1), **EVERY)).num_rows == 3


async def test_pruning_drops_whole_days_by_their_start(bench: Bench, store: Store) -> None:
    midnight = T0 // DAY * DAY
    starts = [midnight - DAY - 1, midnight - 1, midnight, midnight + 1]
    await store.put_anomalies([anomaly(t, end_ns=midnight + 2 * DAY, session=f"s{k}") for k, t in enumerate(starts)])
    await store.put_windows([windows(1, t0=t) for t in starts])
    await bench.settle(store)
    for before_ns, left in ((midnight - 1, starts[1:]), (midnight + DAY - 1, starts[2:]), (midnight, starts[2:])):
        assert await store.prune(before_ns=before_ns) == 0, "rows alone are counted"
        await bench.settle(store)
        assert sorted(a.start_ns for a in await store.anomalies(Asked())) == left
        assert (await store.windows(WHOLE, **EVERY))["t"].to_pylist() == left


# --- start, close ---------------------------------------------------------------------------------------------


async def test_they_are_there_after_reopening(bench: Bench, store: Store) -> None:
    if not bench.builder.survives_reopening:
        pytest.skip(f"{bench.builder.name} keeps nothing beyond its process, and says so")
    await store.put_anomalies([anomaly()])
    await store.put_windows([windows(2)])
    await store.close()
    again = await bench.open()
    await bench.settle(again)
    assert await again.anomaly(anomaly().id) == anomaly()
    assert (await again.windows(WHOLE, **EVERY)).num_rows == 2
    await again.put_anomalies([anomaly(version=2)])
    assert [a.version for a in await again.anomalies(Asked())] == [2]


async def test_before_start_and_after_close_they_are_unavailable(bench: Bench, store: Store) -> None:
    await store.close()
    for call in (
        store.put_anomalies([anomaly()]),
        store.put_windows([windows()]),
        store.anomalies(Asked()),
        store.anomaly("x"),
        store.windows(WHOLE, **EVERY),
    ):
        with pytest.raises(StoreUnavailable):
            await call
