"""A backup holds everything that another station needs, and every stored batch as it was sent."""

import io
import random
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import httpx
import msgspec
import orjson
import pyarrow as pa
import pytest
import zstandard

from consumers import clock_offset
from consumers.anomalies import Anomalies
from gateway import rebuilt
from gateway.routes import backup as backup_route
from telemetry import backup, wire
from telemetry.anomaly import decode
from telemetry.beside import Beside
from telemetry.deadletters import dead_letter
from telemetry.outcome import Reason
from telemetry.ports import ANOMALIES, BATCHES, DEADLETTERS, DEVICES, LABELS, Entry, Item, Record
from telemetry.records import BatchHeaders, item_of
from telemetry.session_clock import UNKNOWN, SessionClock
from tests.gateway.found import anomaly
from tests.gateway.gateway_world import T0, World, batch, gateway, stored
from tests.gateway.read_world import Person, opened, reading_gateway, settle
from tests.ports.stores_samples import random_batch

Records = dict[str, list[Record]]


async def taken(admin: Person) -> Records:
    """A backup's records by topic."""
    answer = await admin.get("/v1/backup")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zstd"
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(answer.content)) as reader:
        lines = io.BufferedReader(reader).readlines()  # type: ignore[arg-type]
    found: Records = {}
    for topic, record in backup.read(lines):
        found.setdefault(topic.name, []).append(record)
    return found


def entry_of(record: Record) -> Entry:
    return Entry("batches", 0, 0, record.key, record.value, record.headers, 0)


async def test_every_batch_comes_back_under_its_own_hash() -> None:
    async with reading_gateway("admin") as (world, admin):
        for device in ("pi", "phone"):
            token = await world.device(device)
            for session in ("b", "a"):
                for seq in (0, 1, 7):
                    await world.post("/v1/batches", batch(device, seq, session=session, n=seq + 1), token)
        await settle(world)
        sent = {(e.key, e.headers["session"], int(e.headers["seq"])): e for e in await stored(world.log)}
        found = (await taken(admin))["batches"]
        assert len(found) == len(sent) == 12
        for record in found:
            item = item_of(entry_of(record))
            original = sent[item.batch.id]
            assert record.value == original.value
            assert item.content_hash == wire.content_hash(record.value or b"") == original.headers["hash"]
            assert str(item.received_ns) == original.headers["received"]


async def test_what_the_ledger_knows_of_a_clock_comes_along() -> None:
    async with reading_gateway("admin") as (world, admin):
        told = Beside(synchronised=False, correction_ns=-7)
        for device, error_ns in (("slow", 90 * 10**9), ("silent", None)):
            token = await world.device(device)
            for seq in range(3):
                sent_ns = None if error_ns is None else world.services.clock.now_ns() - error_ns
                headers = replace(told, sent_ns=sent_ns).to_headers() if error_ns else {}
                await world.post("/v1/batches", batch(device, seq), token, **headers)
        await settle(world)
        rebuilt_of: dict[str, SessionClock] = {}
        for record in (await taken(admin))["batches"]:
            headers_read = BatchHeaders.of(entry_of(record))
            rebuilt_of[record.key] = clock_offset.apply(rebuilt_of.get(record.key, UNKNOWN), headers_read)
            assert headers_read.newest_ns == T0 + 10_000_000
        kept = {s.device: s.clock for s in await world.services.store.completeness()}
        assert kept["slow"].offset_ns is not None
        assert abs(kept["slow"].offset_ns - 90 * 10**9) < 10**9
        assert rebuilt_of["slow"] == replace(kept["slow"], latest_ns=kept["slow"].offset_ns)
        assert rebuilt_of["silent"] == kept["silent"]


async def test_another_station_made_of_it_knows_devices_and_readings() -> None:
    async with reading_gateway("admin") as (world, admin):
        token = await world.device("pi", platform="ios")
        await world.post("/v1/batches", batch("pi", n=3), token)
        await settle(world)
        await world.log.append(LABELS, [Record("pi/1", b"\xff"), Record("pi/2", b"x"), Record("pi/2", None)])
        found = await taken(admin)
        assert [(r.key, r.value) for r in found["labels"]] == [("pi/1", b"\xff"), ("pi/2", None)]
        async with gateway() as other:
            await other.log.append(DEVICES, found["devices"])
            await other.log.append(BATCHES, found["batches"])
            await other.services.registry.sync(5.0)
            await settle(other)
            person = Person(other, admin.key)  # the key is the same
            (device,) = (await person.get("/v1/devices")).json()["devices"]
            assert (device["device"], device["platform"], device["readings"]) == ("pi", "ios", 3)
            assert (await other.post("/v1/batches", batch("pi", n=3), token)).status_code == 200
            await settle(other)  # sent again to the new station: the same batch
            assert (await other.services.store.counts()).readings == 3


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_anomalies_come_along_whole_at_their_last_version(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routes.backup.ANOMALIES_PAGE", 3)
    async with reading_gateway("admin", store=store) as (world, admin):
        await world.device("gone")
        put = [anomaly("pi", k // 2, session=f"s{k}", id=f"{k:032x}", received_ns=T0) for k in range(8)]
        await world.services.store.put_anomalies([*put, anomaly("gone", received_ns=T0)])
        newer = msgspec.structs.replace(put[2], version=9, is_open=False)
        await world.services.store.put_anomalies([newer])
        await world.services.enrolment.delete("gone")
        found = (await taken(admin))["anomalies"]
        assert {r.key for r in found} == {"pi"}
        by_id = {r.headers["id"]: decode(r.value or b"") for r in found}
        assert by_id == {a.id: a for a in [*put[:2], newer, *put[3:]]}
        assert len(found) == 8
        await world.log.append(ANOMALIES, found)  # as a restore does
        async with opened("memory") as other:
            entries = await stored(world.log, ANOMALIES)
            consumer = Anomalies(world.log, other, world.services.clock, lambda *_: False, nothing)
            await consumer.process(entries)
            assert await other.anomaly(newer.id) == newer


async def nothing() -> None:
    """There is nothing to refresh."""


async def test_dead_letters_come_along_unless_replayed() -> None:
    async with reading_gateway("admin") as (world, admin):
        entry = Entry("batches", 0, 5, "pi", b"\xfe", {"seq": "1"}, 0)
        letters = [dead_letter(entry, Reason.UNDECODABLE, f"n{k}", 1) for k in range(3)]
        await world.log.append(DEADLETTERS, letters)
        await admin.ask("POST", "/v1/deadletters/replay", json={"ids": ["0-1"]})
        found = await taken(admin)
        assert found["deadletters"] == [letters[0], letters[2]]


async def test_what_was_deleted_is_in_no_backup() -> None:
    async with reading_gateway("admin") as (world, admin):
        for device in ("pi", "gone"):
            await world.post("/v1/batches", batch(device), await world.device(device))
        await settle(world)
        await world.services.enrolment.delete("gone")  # its rows are still in the store
        found = await taken(admin)
        assert {record.key for record in found["batches"]} == {"pi"}


async def test_only_an_admin_takes_a_backup_and_it_is_audited() -> None:
    async with gateway() as world:
        for role, status in (("viewer", 403), ("operator", 403), ("admin", 200)):
            person = Person(world, await world.services.enrolment.add_operator(role, role))
            assert (await person.get("/v1/backup")).status_code == status
        assert (await Person(world, None).get("/v1/backup")).status_code == 401
        (entry,) = await world.services.audit.recent(10)
        assert (entry["who"], entry["what"]) == ("admin", "backup")


async def test_it_ends_when_who_takes_it_is_no_admin_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world:
        headers = await world.person("mole", "admin")
        await world.person("boss", "admin")
        whole = backup_route._compressed

        async def slowly(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
            async for chunk in whole(lines):
                yield chunk
                await world.services.enrolment.set_role("mole", "viewer")
                yield b"canary"

        monkeypatch.setattr(backup_route, "_compressed", slowly)
        transport = httpx.ASGITransport(world.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            with pytest.raises(RuntimeError, match="already started"):  # what the server turns into a reset
                await client.get("/v1/backup", headers=headers)


async def test_an_empty_station_gives_a_whole_backup() -> None:
    async with reading_gateway("admin") as (_, admin):
        assert set(await taken(admin)) == {"devices", "audit"}


async def test_expired_batches_are_counted_and_partly_expired_ones_keep_their_claim() -> None:
    async with reading_gateway("admin") as (world, admin):
        token = await world.device("pi")
        old = {"sensor": "light", "t0": 5, "dt": [0], "values": {"illuminance": [1]}}
        new = {"sensor": "light", "t0": T0, "dt": [0], "values": {"illuminance": [2]}}
        for seq, series in enumerate([[old], [old, new]]):
            body = {"v": 1, "device": "pi", "session": "s", "seq": seq, "series": series}
            assert (await world.post("/v1/batches", orjson.dumps(body), token)).status_code == 200
        await settle(world)
        answer = await admin.get("/v1/backup")
        lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(answer.content)).read().splitlines()
        end = orjson.loads(lines[-1])
        assert (end["end"]["batches"], end["not_rebuilt"]) == (1, 1)
        (record,) = (await taken(admin))["batches"]
        claims = await world.services.store.claims("pi")
        assert BatchHeaders.of(entry_of(record)).content_hash == claims[1].content_hash


@pytest.mark.parametrize("store", ["memory", "duckdb"])
@pytest.mark.parametrize("seed", range(8))
async def test_batches_are_rebuilt_however_the_store_cuts_its_pieces(seed: int, store: str) -> None:
    rng = random.Random(seed)
    async with gateway() as world, opened(store) as its_store:
        world.services = replace(world.services, store=its_store)
        sent = {}
        for session in ("s1", "s2", "s10"):
            for seq in sorted(rng.sample(range(50), rng.randint(1, 8))):
                made = random_batch(rng, "pi", session, seq)
                if made.readings:
                    sent[made.id] = made
        await write(world, sent.values())
        cut_pieces(world, rng)
        seen = (await world.services.store.devices())[0]
        found = [b async for b in rebuilt.batches(world.services, "pi", seen.sensors)]
        assert [b.id for b in found] == sorted(sent)
        for made in found:
            assert wire.encode(made) == wire.encode(sent[made.id])


async def write(world: World, batches) -> None:  # type: ignore[no-untyped-def]
    items = [Item(b, wire.content_hash(wire.encode(b)), 2 * 10**18, 0, k) for k, b in enumerate(batches)]
    written = await world.services.store.write(items)
    assert all(w.reason is None for w in written)


def cut_pieces(world: World, rng: random.Random) -> None:
    """Let the store's exports come in pieces of 1 to 30 rows, empty ones among them."""
    whole = world.services.store.export

    async def cut(*args: object, **named: object) -> AsyncIterator[tuple[str, pa.Table]]:
        async for sensor, table in whole(*args, **named):  # type: ignore[arg-type]
            at = 0
            while at < table.num_rows:
                size = rng.choice([0, 1, 2, 30])
                yield sensor, table.slice(at, size)
                at += size

    world.services.store.export = cut  # type: ignore[method-assign]
