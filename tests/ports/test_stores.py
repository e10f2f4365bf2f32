"""What every store promises (`telemetry.ports.Store`), held over every adapter."""

import asyncio
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stores_bench import *  # noqa: F403 - its fixtures
from stores_builders import BUILDERS, Bench
from stores_samples import DAY, SECOND, T0, batch, hash_of, item, random_batch, rows, session, tombstone, xyz

from telemetry import adapters
from telemetry.batch import Batch, BatchId, Series
from telemetry.errors import Invalid, Misconfigured, StoreUnavailable
from telemetry.outcome import Reason
from telemetry.ports import Claim, Counts, Latest, Span, Store, Written
from telemetry.reading import CATALOGUE
from telemetry.rebuild import batches_of
from telemetry.session_clock import UNKNOWN, SessionClock
from telemetry.stores import open_store

WHOLE = Span("d1", "acceleration", 0, 2**63 - 1)


async def exported(store: Store, device: str, **asked: object) -> list[tuple[str, pa.Table]]:
    return [piece async for piece in store.export(device, **asked)]  # type: ignore[arg-type]


def test_every_adapter_is_put_through_this_suite() -> None:
    """Elasticsearch's run is `tests/real/test_elasticsearch_store.py`."""
    assert {*(b.name for b in BUILDERS), "elasticsearch"} == set(adapters.names("telemetry.stores"))


def test_a_setting_that_is_not_known_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        open_store(bench.builder.name, {"no_such_setting": 1}, tmp_path, retention_days=1)


# --- start, close ---------------------------------------------------------------------------------------------


async def test_start_may_be_called_again_and_harms_nothing(bench: Bench, store: Store) -> None:
    await store.write([item(batch())])
    await store.start()
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=10)).num_rows == 5


async def test_what_was_written_is_there_after_reopening(bench: Bench, store: Store) -> None:
    if not bench.builder.survives_reopening:
        pytest.skip(f"{bench.builder.name} keeps nothing beyond its process, and says so")
    await store.write([item(batch(seq=0)), item(tombstone(seq=1))])
    await store.put_sessions([session()])
    await store.close()
    again = await bench.open()
    await bench.settle(again)
    assert await again.counts() == Counts(readings=5, batches=2, devices=1)
    assert (await again.readings(WHOLE, limit=10)).num_rows == 5
    assert await again.get_sessions([("d1", "s1")]) == {("d1", "s1"): session()}
    assert await again.write([item(batch(seq=0))]) == [Written(duplicate=5)]
    assert await again.write([item(batch(seq=2))]) == [Written(stored=5)]


async def test_before_start_and_after_close_it_is_unavailable(bench: Bench, store: Store) -> None:
    await store.close()
    await store.close()
    for call in (store.write([item(batch())]), store.counts(), store.readings(WHOLE, limit=1), store.claims("d1")):
        with pytest.raises(StoreUnavailable):
            await call


# --- write: identity ------------------------------------------------------------------------------------------


async def test_each_item_has_its_outcome_in_order(store: Store) -> None:
    first = await store.write([item(batch(seq=0)), item(batch("d2", "s1", 0, xyz(3)))])
    assert first == [Written(stored=5), Written(stored=3)]
    again = await store.write([item(batch("d2", "s1", 0, xyz(3))), item(batch(seq=1)), item(batch(seq=0))])
    assert again == [Written(duplicate=3), Written(stored=5), Written(duplicate=5)]
    assert await store.write([]) == []


async def test_writing_the_same_again_changes_nothing(bench: Bench, store: Store) -> None:
    items = [item(batch(seq=seq), offset=seq) for seq in range(4)]
    await store.write(items)
    await bench.settle(store)
    had = (await store.counts(), await store.claims("d1"), rows(await store.readings(WHOLE, limit=100)))
    later = [item(batch(seq=seq), offset=seq + 100, received_ns=T0 + 9 * DAY) for seq in range(4)]
    assert await store.write(later) == [Written(duplicate=5)] * 4
    await bench.settle(store)
    assert (await store.counts(), await store.claims("d1"), rows(await store.readings(WHOLE, limit=100))) == had


async def test_the_same_twice_in_one_write_is_stored_once(bench: Bench, store: Store) -> None:
    written = await store.write([item(batch(seq=0)), item(batch(seq=0), offset=1), item(batch(seq=0), offset=2)])
    assert written == [Written(stored=5), Written(duplicate=5), Written(duplicate=5)]
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=100)).num_rows == 5


@pytest.mark.parametrize("together", [True, False])
async def test_other_content_under_the_same_id_is_a_conflict_and_the_first_stays(
    bench: Bench, store: Store, together: bool
) -> None:
    first, other = batch(), batch("d1", "s1", 0, xyz(7, first=100))
    items = [item(first), item(other), item(first)]
    written = await store.write(items) if together else [(await store.write([i]))[0] for i in items]
    await bench.settle(store)
    assert written[0] == Written(stored=5)
    assert (written[1].dead_lettered, written[1].reason) == (7, Reason.CONFLICT)
    assert hash_of(first) in written[1].detail
    assert written[2] == Written(duplicate=5)
    assert (await store.readings(WHOLE, limit=100))["x"].to_pylist() == [0, 1, 2, 3, 4]
    assert [c.content_hash for c in await store.claims("d1")] == [hash_of(first)]
    assert await store.counts() == Counts(readings=5, batches=1, devices=1)


async def test_a_conflict_with_what_was_kept_twice_in_one_write(bench: Bench, store: Store) -> None:
    await store.write([item(batch())])
    other = item(batch("d1", "s1", 0, xyz(2, first=9)))
    written = await store.write([other, other, item(batch()), item(batch(seq=1))])
    assert [w.reason for w in written] == [Reason.CONFLICT, Reason.CONFLICT, None, None]
    assert written[2:] == [Written(duplicate=5), Written(stored=5)]


async def test_a_conflict_in_one_item_keeps_none_of_the_others_out(bench: Bench, store: Store) -> None:
    await store.write([item(batch(seq=1))])
    await store.write([item(batch(seq=0)), item(batch("d1", "s1", 1, xyz(1))), item(batch(seq=2))])
    await bench.settle(store)
    assert [c.id.seq for c in await store.claims("d1")] == [0, 1, 2]
    assert (await store.readings(WHOLE, limit=100)).num_rows == 15


async def test_concurrent_writes_of_the_same_store_it_once(bench: Bench, store: Store) -> None:
    items = [item(batch(seq=seq)) for seq in range(8)]
    results = await asyncio.gather(*(store.write(items) for _ in range(4)))
    await bench.settle(store)
    assert sum(w.stored for written in results for w in written) == 40
    assert sum(w.duplicate for written in results for w in written) == 3 * 40
    assert (await store.readings(WHOLE, limit=1000)).num_rows == 40


async def test_the_same_seq_of_another_session_or_device_is_another_batch(bench: Bench, store: Store) -> None:
    assert await store.write([item(batch("d1", "s1")), item(batch("d1", "s2")), item(batch("d2", "s1"))]) == (
        [Written(stored=5)] * 3
    )
    await bench.settle(store)
    assert await store.counts() == Counts(readings=15, batches=3, devices=2)
    assert (await store.readings(WHOLE, limit=100)).num_rows == 10


async def test_a_tombstone_is_claimed_and_has_no_rows(bench: Bench, store: Store) -> None:
    assert await store.write([item(tombstone(seq=3))]) == [Written()]
    other = await store.write([item(batch(seq=3))])
    await bench.settle(store)
    assert other[0].reason is Reason.CONFLICT
    assert [(c.id.seq, c.readings) for c in await store.claims("d1")] == [(3, 0)]
    assert await store.counts() == Counts(readings=0, batches=1, devices=0)


async def test_the_largest_seq_and_a_late_small_one(bench: Bench, store: Store) -> None:
    await store.write([item(batch("d1", "s1", 2**63 - 1, xyz(1)))])
    await store.write([item(batch("d1", "s1", 0, xyz(1, first=3)))])
    await bench.settle(store)
    assert [c.id.seq for c in await store.claims("d1")] == [0, 2**63 - 1]
    assert (await store.readings(WHOLE, limit=9))["seq"].to_pylist() == [0, 2**63 - 1]


# --- write: time ----------------------------------------------------------------------------------------------


async def test_readings_older_than_the_retention_are_counted_and_not_stored(bench: Bench) -> None:
    store = await bench.open(retention_days=10)
    received_ns = T0 + 10 * DAY
    mixed = batch("d1", "s1", 0, xyz(4, t0=T0 - 2 * SECOND, step_ns=SECOND), xyz(2, t0=T0 - DAY, sensor="gyroscope"))
    assert await store.write([item(mixed, received_ns=received_ns)]) == [Written(stored=2, expired=4)]
    await bench.settle(store)
    kept = await store.readings(WHOLE, limit=10)
    assert kept["t"].to_pylist() == [T0, T0 + SECOND]
    assert kept["i"].to_pylist() == [2, 3]
    assert await store.claims("d1") == [Claim(mixed.id, hash_of(mixed), received_ns, 6, 4)]
    assert await store.counts() == Counts(readings=2, batches=1, devices=1)
    assert await store.write([item(mixed, received_ns=received_ns)]) == [Written(duplicate=6)]


async def test_a_batch_of_only_expired_readings_is_claimed_all_the_same(bench: Bench) -> None:
    store = await bench.open(retention_days=1)
    old = batch("d1", "s1", 0, xyz(5, t0=0))
    assert await store.write([item(old)]) == [Written(expired=5)]
    assert await store.write([item(old)]) == [Written(duplicate=5)]
    await bench.settle(store)
    assert await store.counts() == Counts(readings=0, batches=1, devices=0)
    assert await store.devices() == []


async def test_an_impossible_clock_hides_no_reading(bench: Bench, store: Store) -> None:
    far = [T0 + 100 * 365 * DAY, 2**63 - 1, T0]
    skewed = batch("d1", "s1", 0, Series.of("acceleration", far, {"x": [1.0, 2.0, 3.0]}))
    assert await store.write([item(skewed)]) == [Written(stored=3)]
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=9))["t"].to_pylist() == sorted(far)
    assert sum(t.num_rows for _, t in await exported(store, "d1")) == 3
    assert await store.counts() == Counts(readings=3, batches=1, devices=1)


# --- sessions -------------------------------------------------------------------------------------------------


async def test_sessions_come_back_as_they_were_put_at_once(store: Store) -> None:
    kept = [
        session(),
        session("d1", "s2", seqs=(), clock=UNKNOWN),
        session("d2", "s1", seqs=((2**63 - 1, 2**63 - 1),), clock=SessionClock(synchronised=True, basis="newest")),
    ]
    await store.put_sessions(kept)
    found = await store.get_sessions([("d1", "s1"), ("d1", "s2"), ("d2", "s1"), ("d2", "s9")])
    assert found == {(s.device, s.session): s for s in kept}
    assert await store.get_sessions([]) == {}


async def test_a_sessions_clock_may_be_known_later_and_become_unknown(store: Store) -> None:
    """As a whole the newer write replaces the older one, also with what is not known."""
    for offset, clock in enumerate((UNKNOWN, SessionClock(7, "newest", None, T0, None, 8), UNKNOWN)):
        kept = session(next_offset=offset, clock=clock)
        await store.put_sessions([kept, session("d2", clock=UNKNOWN)])
        assert (await store.get_sessions([("d1", "s1")]))["d1", "s1"] == kept


async def test_an_older_write_never_replaces_a_newer_session(store: Store) -> None:
    newer, older = session(next_offset=20, received_batches=20), session(next_offset=19, received_batches=19)
    await store.put_sessions([newer])
    await store.put_sessions([older])
    assert await store.get_sessions([("d1", "s1")]) == {("d1", "s1"): newer}
    await store.put_sessions([session(next_offset=21, received_batches=21), older, newer])
    assert (await store.get_sessions([("d1", "s1")]))["d1", "s1"].received_batches == 21
    await store.put_sessions([])


async def test_completeness_lists_the_newest_first(bench: Bench, store: Store) -> None:
    kept = [session(d, s, last_received_ns=T0 + n) for n, (d, s) in enumerate([("d1", "a"), ("d2", "b"), ("d1", "c")])]
    await store.put_sessions(kept)
    await bench.settle(store)
    assert await store.completeness() == kept[::-1]
    assert await store.completeness("d1") == [kept[2], kept[0]]
    assert await store.completeness("d1", "a") == [kept[0]]
    assert await store.completeness("d3") == []


# --- claims, counts, devices ----------------------------------------------------------------------------------


async def test_claims_by_session_and_seq(bench: Bench, store: Store) -> None:
    places = [("s2", 1), ("s1", 10), ("s1", 9), ("s2", 0)]
    await store.write([item(batch("d1", s, q), received_ns=T0 + q) for s, q in places])
    await store.write([item(batch("d2", "s1", 5))])
    await bench.settle(store)
    claims = await store.claims("d1")
    assert [c.id for c in claims] == [BatchId("d1", s, q) for s, q in sorted(places)]
    assert claims[1] == Claim(BatchId("d1", "s1", 10), hash_of(batch("d1", "s1", 10)), T0 + 10, 5, 0)
    assert await store.claims("d1", "s2") == claims[2:]
    assert await store.claims("d3") == []


async def test_counts_say_what_can_be_queried(bench: Bench, store: Store) -> None:
    assert await store.counts() == Counts(0, 0, 0)
    for seq in range(3):
        await store.write([item(batch("d1", "s1", seq)), item(batch("d2", "s1", seq))])
    await store.write([item(batch("d2", "s1", 0))])
    await bench.settle(store)
    assert await store.counts() == Counts(readings=30, batches=6, devices=2)


async def test_devices_by_name_with_their_sensors_and_first_and_last_time(bench: Bench, store: Store) -> None:
    late = xyz(3, t0=T0 + 5 * DAY, step_ns=SECOND, sensor="gyroscope")
    unknown = Series.of("uwb_range", [T0 - SECOND], {}, ['{"m":1}'])
    await store.write([item(batch("zed")), item(batch("abel", "s1", 0, late)), item(batch("abel", "s0", 0, unknown))])
    await bench.settle(store)
    abel, zed = await store.devices()
    assert (abel.device, abel.readings, abel.sensors) == ("abel", 4, ("gyroscope", "uwb_range"))
    assert (zed.device, zed.readings, zed.sensors) == ("zed", 5, ("acceleration",))
    ms = 1_000_000  # stores agree to the millisecond
    assert (abel.first_ns // ms, abel.last_ns // ms) == ((T0 - SECOND) // ms, (T0 + 5 * DAY + 2 * SECOND) // ms)


# --- readings -------------------------------------------------------------------------------------------------


async def test_readings_by_time_then_identity_with_their_columns_and_types(bench: Bench, store: Store) -> None:
    extra = Series.of("acceleration", [T0, T0 - 5], {"x": [1.5, np.nan]}, ['{"k":1}', None])
    await store.write([item(batch("d1", "s2", 4, xyz(1), extra)), item(batch("d1", "s1", 9, xyz(2, step_ns=0)))])
    await bench.settle(store)
    table = await store.readings(WHOLE, limit=100)
    assert table.schema.names == ["t", "x", "y", "z", "extra", "session", "seq", "series", "i"]
    f32 = pa.float32()
    assert table.schema.types == [
        pa.int64(),
        f32,
        f32,
        f32,
        pa.string(),
        pa.string(),
        pa.int64(),
        pa.int32(),
        pa.int32(),
    ]
    order = [(r["t"], r["session"], r["seq"], r["series"], r["i"]) for r in rows(table)]
    assert order == [
        (T0 - 5, "s2", 4, 1, 1),
        (T0, "s1", 9, 0, 0),
        (T0, "s1", 9, 0, 1),
        (T0, "s2", 4, 0, 0),
        (T0, "s2", 4, 1, 0),
    ]
    assert table["x"].to_pylist() == [None, 0.0, 1.0, 0.0, 1.5]
    assert table["extra"].to_pylist() == [None, None, None, None, '{"k":1}']


async def test_readings_lie_within_the_span_and_under_the_limit(bench: Bench, store: Store) -> None:
    await store.write([item(batch("d1", "s1", 0, xyz(10, step_ns=1)))])
    await store.write([item(batch("d2", "s1", 0, xyz(10, step_ns=1, first=50)))])
    await bench.settle(store)
    some = await store.readings(Span("d1", "acceleration", T0 + 2, T0 + 7), limit=100)
    assert some["t"].to_pylist() == [T0 + k for k in (2, 3, 4, 5, 6)]
    assert (await store.readings(Span("d1", "acceleration", T0 + 2, T0 + 7), limit=2))["i"].to_pylist() == [2, 3]


@pytest.mark.parametrize(
    "span",
    [
        Span("d9", "acceleration", 0, 2**62),
        Span("d1", "gyroscope", 0, 2**62),
        Span("d1", "no_such_sensor", 0, 2**62),
        Span("d1", "acceleration", T0 + DAY, T0 + 2 * DAY),
        Span("d1", "acceleration", T0 + 5, T0),
        Span("d1", "acceleration", -(2**70), -(2**69)),
    ],
)
async def test_a_question_without_an_answer_gives_an_empty_table(bench: Bench, store: Store, span: Span) -> None:
    await store.write([item(batch())])
    await bench.settle(store)
    table = await store.readings(span, limit=10)
    assert (table.num_rows, table.schema.names) == (0, ["t", "session", "seq", "series", "i"])
    assert (await store.envelope(span, points=10)).num_rows == 0


async def test_a_sensor_that_the_catalogue_lacks_is_found_under_its_name(bench: Bench, store: Store) -> None:
    a = Series.of("uwb_range", [T0, T0 + 1], {}, ['{"m":1.25}', None])
    b = Series.of("x-acme.probe", [T0], {}, ['{"q":"ä"}'])
    await store.write([item(batch("d1", "s1", 0, a, b))])
    await bench.settle(store)
    table = await store.readings(Span("d1", "uwb_range", 0, 2**62), limit=10)
    assert table.schema.names == ["t", "extra", "session", "seq", "series", "i"]
    assert table["extra"].to_pylist() == ['{"m":1.25}', None]
    assert (await store.readings(Span("d1", "x-acme.probe", 0, 2**62), limit=10))["series"].to_pylist() == [1]
    envelope = await store.envelope(Span("d1", "uwb_range", T0, T0 + 10), points=3)
    assert rows(envelope) == [{"t": T0, "count": 2}]


# --- envelope -------------------------------------------------------------------------------------------------


async def test_an_envelope_has_min_max_mean_and_count_by_bucket(bench: Bench, store: Store) -> None:
    await store.write([item(batch("d1", "s1", 0, xyz(10, step_ns=SECOND)), received_ns=T0)])
    await store.write([item(batch("d2", "s1", 0, xyz(10, step_ns=SECOND, first=99)))])
    await bench.settle(store)
    table = await store.envelope(Span("d1", "acceleration", T0, T0 + 10 * SECOND), points=2)
    names = [f"{axis}_{part}" for axis in "xyz" for part in ("min", "max", "mean")]
    assert table.schema.names == ["t", "count", *names]
    assert table.schema.types == [pa.int64(), pa.int64(), *[pa.float64()] * 9]
    assert [r["t"] for r in rows(table)] == [T0, T0 + 5 * SECOND]
    assert [r["count"] for r in rows(table)] == [5, 5]
    assert [(r["x_min"], r["x_max"], r["x_mean"]) for r in rows(table)] == [(0, 4, 2), (5, 9, 7)]
    assert table["z_max"].to_pylist() == [pytest.approx(np.float32(9.81))] * 2


async def test_an_envelope_leaves_out_what_is_absent(bench: Bench, store: Store) -> None:
    t = [T0, T0 + SECOND, T0 + 3 * SECOND]
    series = Series.of("battery", t, {"level": [0.5, 0.25, np.nan], "state": ["a", "b", "c"], "low_power": [True] * 3})
    await store.write([item(batch("d1", "s1", 0, series))])
    await bench.settle(store)
    table = await store.envelope(Span("d1", "battery", T0, T0 + 4 * SECOND), points=4)
    assert table.schema.names == ["t", "count", "level_min", "level_max", "level_mean"]
    assert table["t"].to_pylist() == t
    assert table["level_mean"].to_pylist() == [0.5, 0.25, None]
    assert table["count"].to_pylist() == [1, 1, 1]


async def test_an_envelope_counts_only_what_is_in_the_span(bench: Bench, store: Store) -> None:
    await store.write([item(batch("d1", "s1", 0, xyz(1000, step_ns=100_000)))])
    await bench.settle(store)
    span = Span("d1", "acceleration", T0 + 250_001, T0 + 50_000_000)
    table = await store.envelope(span, points=7)
    assert sum(table["count"].to_pylist()) == 497
    assert table["t"][0].as_py() == T0
    assert table["x_min"][0].as_py() == 3
    assert table.num_rows <= 7


async def test_an_envelope_agrees_with_the_readings(bench: Bench, store: Store) -> None:
    rng = np.random.default_rng(7)
    for seq in range(3):
        t = T0 + rng.integers(0, 3600 * SECOND, 400)
        x = np.where(rng.random(400) < 0.1, np.nan, rng.normal(size=400) * 20)
        await store.write([item(batch("d1", "s1", seq, Series.of("acceleration", t, {"x": x})))])
    await bench.settle(store)
    table = await store.envelope(Span("d1", "acceleration", T0, T0 + 3600 * SECOND), points=60)
    readings = await store.readings(Span("d1", "acceleration", T0, T0 + 3600 * SECOND), limit=2000)
    t, x = readings["t"].to_numpy(), readings["x"].to_numpy().astype(np.float64)
    for row in rows(table):
        inside = x[(t >= row["t"]) & (t < row["t"] + 60 * SECOND)]
        assert row["count"] == len(inside)
        assert (row["x_min"], row["x_max"]) == (np.nanmin(inside), np.nanmax(inside))
        assert row["x_mean"] == pytest.approx(np.nanmean(inside), rel=1e-9)
    assert sum(table["count"].to_pylist()) == 1200


async def test_a_number_of_points_that_makes_no_sense_is_refused(store: Store) -> None:
    for points in (0, -1, 20_001):
        with pytest.raises(Invalid):
            await store.envelope(WHOLE, points=points)
    assert (await store.envelope(WHOLE, points=20_000)).num_rows == 0


# --- latest ---------------------------------------------------------------------------------------------------


async def test_the_latest_reading_of_each_device_and_sensor(bench: Bench, store: Store) -> None:
    later = T0 + 40 * SECOND
    batteries = Series.of(
        "battery", [T0, later], {"level": [0.9, 0.87], "state": ["full", None], "low_power": [None, False]}
    )
    place = Series.of("location", [later, T0 + 1], {"latitude": [48.1234567891, 1.0], "longitude": [11.5, 2.0]})
    await store.write(
        [
            item(batch("d1", "s1", 0, batteries, place)),
            item(batch("d1", "s2", 0, Series.of("battery", [T0 + SECOND], {"level": [0.5]}))),
            item(batch("d2", "s1", 0, Series.of("battery", [T0], {"state": ["charging"]}), xyz(3))),
            item(batch("d3", "s1", 0, xyz(3))),
        ]
    )
    await bench.settle(store)
    level = float(np.float32(0.87))
    assert await store.latest(["location", "battery"], from_ns=0) == [
        Latest("d1", "battery", later, {"level": level, "low_power": False}),
        Latest("d1", "location", later, {"latitude": 48.1234567891, "longitude": 11.5}),
        Latest("d2", "battery", T0, {"state": "charging"}),
    ]
    assert await store.latest(["battery"], from_ns=later) == [
        Latest("d1", "battery", later, {"level": level, "low_power": False})
    ]
    assert await store.latest(["battery"], from_ns=later + 1) == []
    assert await store.latest(["acceleration", "acceleration"], from_ns=T0 + 20_000_000) == [
        Latest(name, "acceleration", T0 + 20_000_000, {"x": 2.0, "y": -2.0, "z": float(np.float32(9.81))})
        for name in ("d2", "d3")
    ]
    assert await store.latest(["humidity"], from_ns=0) == await store.latest([], from_ns=0) == []


async def test_of_readings_at_the_same_time_the_last_by_identity_is_the_latest(bench: Bench, store: Store) -> None:
    def level(*levels: float) -> Series:
        return Series.of("battery", [T0] * len(levels), {"level": list(levels)})

    await store.write(
        [
            item(batch("d1", "s2", 0, level(0.25))),
            item(batch("d1", "s2", 3, level(0.5), level(0.75, 0.125))),
            item(batch("d1", "s1", 9, level(1.0))),
        ]
    )
    await bench.settle(store)
    assert await store.latest(["battery"], from_ns=T0) == [Latest("d1", "battery", T0, {"level": 0.125})]


async def test_the_latest_of_a_sensor_that_the_catalogue_lacks_has_no_values(bench: Bench, store: Store) -> None:
    odd = Series.of("uwb_range", [T0, T0 + 5], {}, ['{"a":1}', None])
    await store.write([item(batch("d1", "s1", 0, odd))])
    await bench.settle(store)
    assert await store.latest(["uwb_range"], from_ns=0) == [Latest("d1", "uwb_range", T0 + 5, {})]
    await store.delete_device("d1")
    await bench.settle(store)
    assert await store.latest(["uwb_range"], from_ns=0) == []


# --- export ---------------------------------------------------------------------------------------------------


async def test_what_comes_out_hashes_to_what_went_in(bench: Bench, store: Store) -> None:
    rng = random.Random(20)
    sent = {b.id: b for b in (random_batch(rng, "d1", f"s{k % 3}", k // 3) for k in range(90))}
    assert {s.sensor for b in sent.values() for s in b.series} >= set(CATALOGUE), "every sensor is among them"
    order = list(sent.values())
    rng.shuffle(order)
    for k in range(0, len(order), 17):
        await store.write([item(b) for b in order[k : k + 17]])
    await store.write([item(random_batch(rng, "d2", "s0", 0))])
    await bench.settle(store)
    rebuilt: list[Batch] = []
    for name in ("s0", "s1", "s2"):
        rebuilt += batches_of("d1", await exported(store, "d1", session=name))
    assert [b.id for b in rebuilt] == sorted(sent)
    assert {b.id: hash_of(b) for b in rebuilt} == {id_: hash_of(b) for id_, b in sent.items()}
    together = list(batches_of("d1", await exported(store, "d1")))
    assert [hash_of(b) for b in together] == [hash_of(b) for b in rebuilt]


async def test_pieces_are_bounded_and_in_order(bench: Bench, store: Store) -> None:
    for name in ("s2", "s1"):
        long = [batch("d1", name, seq, xyz(20_000, step_ns=1), xyz(3, sensor="gyroscope")) for seq in (2, 0, 1)]
        await store.write([item(b) for b in long])
    await bench.settle(store)
    pieces = await exported(store, "d1")
    assert max(table.num_rows for _, table in pieces) <= 100_000
    for sensor, n in (("acceleration", 20_000), ("gyroscope", 3)):
        keys = [
            key
            for name, table in pieces
            if name == sensor
            for key in zip(*(table[c].to_pylist() for c in ("session", "seq", "series", "i")), strict=True)
        ]
        ordinal = ("acceleration", "gyroscope").index(sensor)
        assert keys == [(s, q, ordinal, i) for s in ("s1", "s2") for q in range(3) for i in range(n)]


async def test_an_export_may_be_narrowed(bench: Bench, store: Store) -> None:
    both = (xyz(4, step_ns=SECOND), xyz(4, step_ns=SECOND, sensor="gyroscope"))
    await store.write([item(batch("d1", s, 0, *both)) for s in ("s1", "s2")] + [item(batch("d2"))])
    await bench.settle(store)
    assert {sensor for sensor, _ in await exported(store, "d1", sensor="gyroscope")} == {"gyroscope"}
    one = await exported(store, "d1", session="s2", sensor="acceleration", from_ns=T0 + SECOND, to_ns=T0 + 3 * SECOND)
    assert [(r["session"], r["i"], r["x"]) for _, table in one for r in rows(table)] == [("s2", 1, 1), ("s2", 2, 2)]
    assert await exported(store, "d1", from_ns=T0 + DAY) == []
    assert await exported(store, "d3") == []


# --- deletion, retention --------------------------------------------------------------------------------------


async def test_deleting_a_device_removes_all_of_it_and_nothing_else(bench: Bench, store: Store) -> None:
    unknown = Series.of("uwb_range", [T0], {}, ['{"m":1}'])
    await store.write([item(batch("d1", "s1", 0, xyz(5), unknown)), item(batch("d1", "s2")), item(batch("d2"))])
    await store.put_sessions([session("d1"), session("d2")])
    await bench.settle(store)
    assert await store.delete_device("d1") == 11
    await bench.settle(store)
    assert await store.counts() == Counts(readings=5, batches=1, devices=1)
    assert (await exported(store, "d1"), await store.claims("d1")) == ([], [])
    assert set(await store.get_sessions([("d1", "s1"), ("d2", "s1")])) == {("d2", "s1")}
    assert [d.device for d in await store.devices()] == ["d2"]
    assert len(await exported(store, "d2")) == 1
    assert await store.delete_device("d1") == 0
    assert await store.write([item(batch("d1", "s1", 0, xyz(2)))]) == [Written(stored=2)]
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=100)).num_rows == 2


async def test_pruning_drops_whole_days_of_event_time(bench: Bench, store: Store) -> None:
    midnight = T0 // DAY * DAY
    t = [midnight - DAY - 1, midnight - 1, midnight, midnight + 1]
    series = Series.of("acceleration", t, {"x": [1.0, 2.0, 3.0, 4.0]}), Series.of("uwb_range", t[:1], {}, ["{}"])
    kept, gone = batch("d1", "s1", 0, *series), batch("d2", "s1", 0, xyz(4, t0=midnight - DAY - SECOND))
    await store.write([item(kept, received_ns=midnight), item(gone, received_ns=midnight - DAY)])
    await bench.settle(store)
    assert await store.prune(before_ns=midnight - 1) == 6, "the day before yesterday, and nothing of yesterday"
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=9))["x"].to_pylist() == [2, 3, 4]
    assert await store.prune(before_ns=midnight + DAY - 1) == 1
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=9))["i"].to_pylist() == [2, 3]
    assert [d.device for d in await store.devices()] == ["d1"]
    assert await store.counts() == Counts(readings=2, batches=1, devices=1)
    assert await store.prune(before_ns=midnight + DAY - 1) == 0


async def test_a_claim_outlives_its_pruned_readings_while_a_resend_may_come(bench: Bench, store: Store) -> None:
    midnight = T0 // DAY * DAY
    late = batch("d1", "s1", 0, xyz(5, t0=midnight - 3 * DAY))
    await store.write([item(late, received_ns=midnight + 1)])
    await bench.settle(store)
    assert await store.prune(before_ns=midnight) == 5
    await bench.settle(store)
    assert await store.write([item(late, received_ns=midnight + 2)]) == [Written(duplicate=5)]
    await bench.settle(store)
    assert (await store.readings(WHOLE, limit=9)).num_rows == 0
