"""What every store promises with the detail `windows`: each batch is claimed, none of its readings is a row."""

from stores_bench import *  # noqa: F403 - its fixtures
from stores_builders import Bench
from stores_findings import windows
from stores_samples import DAY, SECOND, T0, batch, hash_of, item, tombstone, xyz

from telemetry.outcome import Reason
from telemetry.ports import Claim, Counts, Span, Written

WHOLE = Span("d1", "acceleration", 0, 2**63 - 1)


async def test_readings_are_summarised_and_there_is_no_row(bench: Bench) -> None:
    store = await bench.open(detail="windows")
    assert await store.write([item(batch(seq=0)), item(tombstone(seq=1))]) == [Written(summarised=5), Written()]
    await bench.settle(store)
    assert await store.counts() == Counts(readings=0, batches=2, devices=0)
    assert (await store.readings(WHOLE, limit=9)).num_rows == 0
    assert (await store.envelope(WHOLE, points=9)).num_rows == 0
    assert [piece async for piece in store.export("d1")] == []
    assert await store.devices() == []
    assert await store.claims("d1") == [
        Claim(batch(seq=0).id, hash_of(batch(seq=0)), T0 + 60 * SECOND, 5, 0, 5),
        Claim(tombstone(seq=1).id, hash_of(tombstone(seq=1)), T0 + 60 * SECOND, 0, 0, 0),
    ]


async def test_identity_holds_as_ever(bench: Bench) -> None:
    store = await bench.open(detail="windows")
    written = await store.write([item(batch(seq=0)), item(batch(seq=0)), item(batch("d1", "s1", 0, xyz(2)))])
    assert written[:2] == [Written(summarised=5), Written(duplicate=5)]
    assert (written[2].dead_lettered, written[2].reason) == (2, Reason.CONFLICT)
    again = await store.write([item(batch(seq=0)), item(batch(seq=1))])
    assert again == [Written(duplicate=5), Written(summarised=5)]
    await bench.settle(store)
    assert await store.counts() == Counts(readings=0, batches=2, devices=0)


async def test_what_is_too_old_is_expired_all_the_same(bench: Bench) -> None:
    store = await bench.open(retention_days=10, detail="windows")
    mixed = batch("d1", "s1", 0, xyz(4, t0=T0 - 2 * SECOND, step_ns=SECOND), xyz(2, t0=T0 - DAY, sensor="gyroscope"))
    received_ns = T0 + 10 * DAY
    assert await store.write([item(mixed, received_ns=received_ns)]) == [Written(summarised=2, expired=4)]
    old = batch("d1", "s1", 1, xyz(3, t0=T0 - DAY))
    assert await store.write([item(old, received_ns=received_ns)]) == [Written(expired=3)]
    await bench.settle(store)
    assert [(c.readings, c.expired, c.summarised) for c in await store.claims("d1")] == [(6, 4, 2), (3, 3, 0)]


async def test_the_detail_may_change_and_what_was_written_stays_as_it_is(bench: Bench) -> None:
    rows_store = await bench.open()
    if not bench.builder.survives_reopening:
        return  # each opening is a store of its own
    await rows_store.write([item(batch(seq=0))])
    await rows_store.close()
    store = await bench.open(detail="windows")
    assert await store.write([item(batch(seq=0)), item(batch(seq=1))]) == [Written(duplicate=5), Written(summarised=5)]
    await store.close()
    rows_store = await bench.open()
    assert await rows_store.write([item(batch(seq=1)), item(batch(seq=2))]) == [Written(duplicate=5), Written(stored=5)]
    await bench.settle(rows_store)
    assert [c.summarised for c in await rows_store.claims("d1")] == [0, 5, 0]
    assert (await rows_store.readings(WHOLE, limit=99))["seq"].to_pylist() == [0] * 5 + [2] * 5
    assert await rows_store.counts() == Counts(readings=10, batches=3, devices=1)


async def test_deletion_and_retention_take_claims_without_rows(bench: Bench) -> None:
    store = await bench.open(detail="windows")
    midnight = T0 // DAY * DAY
    old, ahead = batch("d1", "s1", 0, xyz(2, t0=midnight - DAY)), batch("d1", "s1", 1, xyz(2, t0=midnight + DAY))
    await store.write([item(old, received_ns=midnight - DAY), item(ahead, received_ns=midnight - DAY)])
    await store.write([item(batch("d2"))])
    await store.put_windows([windows(2)])
    await bench.settle(store)
    assert await store.prune(before_ns=midnight) == 0
    await bench.settle(store)
    assert [c.id.seq for c in await store.claims("d1")] == [1], "its readings are of after the cut"
    assert await store.delete_device("d1") == 0
    await bench.settle(store)
    assert await store.claims("d1") == []
    assert await store.counts() == Counts(readings=0, batches=1, devices=0)
    assert (await store.windows(WHOLE, kind="tumbling", width_ns=SECOND, limit=9)).num_rows == 0
    assert await store.write([item(batch("d1", "s1", 0, xyz(2)))]) == [Written(summarised=2)]
