"""`/v1/live` from outside: what comes, to whom, and how it ends."""

from typing import Any

import orjson
import pytest

from gateway.routes import live as live_route
from telemetry.ports import ANOMALIES, BATCHES, Record
from telemetry.records import anomaly_record
from tests.gateway.found import anomaly
from tests.gateway.gateway_world import T0, World, batch, bearer, eventually, gateway
from tests.gateway.live.live_world import Listening, listening


async def viewer(world: World) -> str:
    return await world.services.enrolment.add_operator("watcher", "viewer")


def mixed(device: str, seq: int, t0: int = T0) -> bytes:
    """A batch of a position, a battery, a number and a text."""
    parts: list[tuple[str, dict[str, Any]]] = [
        ("location", {"latitude": [48.1, 48.2], "longitude": [11.5, 11.6], "speed": [None, 1.5]}),
        ("battery", {"level": [0.87, None], "state": ["unplugged", None]}),
        ("light", {"illuminance": [None, 7.5]}),
        ("network", {"text": ["wifi", None]}),
    ]
    series = [{"sensor": name, "t0": t0, "dt": [0, 500_000_000], "values": values} for name, values in parts]
    return orjson.dumps({"v": 1, "device": device, "session": "s", "seq": seq, "series": series})


async def test_a_reading_is_told_soon_after_its_post() -> None:
    async with gateway() as world:
        key, token = await viewer(world), await world.device("pi")
        async with listening(world.app, key, kinds="readings,pulse", device="pi") as heard:
            assert heard.status == 200
            assert heard.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert (heard.headers["cache-control"], heard.headers["x-accel-buffering"]) == ("no-store", "no")
            hello = await heard.event()
            assert (hello.name, set(hello.data)) == ("hello", {"now"})
            await world.post("/v1/batches", batch("pi", 7, n=3), token)
            readings, pulse = await heard.events(2)
            assert readings.name == "readings"
            assert readings.data["t"] == [1.7e12, 1.7e12 + 10, 1.7e12 + 20]
            assert readings.data["values"] == {"x": [1.0] * 3, "y": [0.0] * 3, "z": [9.81] * 3}
            assert (readings.data["sensor"], readings.data["session"], readings.data["seq"]) == ("acceleration", "s", 7)
            assert (pulse.name, pulse.data["batches"], pulse.data["readings"]) == ("pulse", 1, 3)
            assert pulse.data["newest"] == 1.7e12 + 20
            assert pulse.data["received"] == readings.data["received"]
            assert world.services.live.readers == 1
        await eventually(lambda: world.services.live.readers == 0)


async def test_a_pulse_has_the_latest_position_and_battery_and_coalesces() -> None:
    async with gateway() as world:
        key, token = await viewer(world), await world.device("pi")
        async with listening(world.app, key) as heard:
            await heard.event("hello")
            for seq in range(4):
                await world.post("/v1/batches", mixed("pi", seq, T0 + seq * 10**9), token)
            first, rest = await heard.events(2)
            assert first.data["location"] == {"t": 1.7e12 + 500, "latitude": 48.2, "longitude": 11.6, "speed": 1.5}
            assert first.data["battery"] == {"t": 1.7e12 + 500}
            assert (first.data["batches"], rest.data["batches"], rest.data["readings"]) == (1, 3, 24)
            assert rest.data["newest"] == rest.data["location"]["t"] == 1.7e12 + 3500


async def test_readings_are_of_the_wanted_devices_and_sensors_and_numbers_only() -> None:
    async with gateway() as world:
        key = await viewer(world)
        tokens = {name: await world.device(name) for name in ("pi", "other", "third")}
        async with listening(
            world.app, key, kinds="readings", device=["pi", "third"], sensor=["light", "network"]
        ) as heard:
            await heard.event("hello")
            for name, token in tokens.items():
                await world.post("/v1/batches", mixed(name, 1), token)
            got = await heard.events(2)
            assert [(e.data["device"], e.data["sensor"]) for e in got] == [("pi", "light"), ("third", "light")]
            assert got[0].data["values"] == {"illuminance": [None, 7.5]}
            assert got[0].data["t"] == [1.7e12, 1.7e12 + 500]


async def test_many_rows_are_thinned() -> None:
    async with gateway() as world:
        key, token = await viewer(world), await world.device("pi")
        async with listening(world.app, key, kinds="readings", device="pi", points=40) as heard:
            await heard.event("hello")
            await world.post("/v1/batches", batch("pi", 0, n=500), token)
            rows = (await heard.event("readings")).data["t"]
            assert 3 <= len(rows) <= 40
            assert rows == sorted(rows)


async def test_an_anomaly_is_told_as_it_is_listed() -> None:
    async with gateway() as world, world.client as client:
        key, _ = await viewer(world), await world.device("pi")
        async with listening(world.app, key, kinds="anomaly") as heard:
            await heard.event("hello")
            await world.services.store.put_anomalies([anomaly("pi")])
            await world.log.append(ANOMALIES, [anomaly_record(anomaly("pi"))])
            listed = (await client.get("/v1/anomalies", headers=bearer(key))).json()["anomalies"]
            assert [(await heard.event("anomaly")).data] == listed


async def test_a_deleted_devices_data_is_not_told_not_even_to_who_comes_back() -> None:
    async with gateway() as world:
        key = await viewer(world)
        gone, pi = await world.device("gone"), await world.device("pi")
        async with listening(world.app, key, kinds="readings,pulse,anomaly", device=["gone", "pi"]) as stays:
            async with listening(world.app, key, kinds="readings,anomaly", device=["gone", "pi"]) as heard:
                last = (await heard.event("hello")).id
            await world.post("/v1/batches", batch("gone", 1), gone)
            await stays.event("readings")
            await world.services.enrolment.delete("gone")
            await world.log.append(ANOMALIES, [anomaly_record(anomaly("gone"))])
            await world.post("/v1/batches", batch("pi", 1), pi)
            assert (await stays.event("readings", "anomaly")).data["device"] == "pi"
            async with listening(world.app, key, kinds="readings,anomaly", device=["gone", "pi"], after=last) as again:
                assert [e.name for e in await again.events(2)] == ["hello", "readings"]
                assert again.now() == []


@pytest.mark.parametrize(
    "query",
    [{"kinds": "readings"}, {"kinds": "all"}, {"kinds": ""}, {"points": 5}, {"device": "../x"},
     {"device": [f"d{n}" for n in range(101)]}, {"after": "x" * 20_000}],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(query: dict[str, Any]) -> None:
    async with gateway() as world, listening(world.app, await viewer(world), **query) as heard:
        assert (heard.status, heard.headers["content-type"]) == (422, "application/problem+json")
        assert world.services.live.readers == 0


async def test_there_may_be_so_many_of_one_and_so_many_in_all() -> None:
    limits = {"live_readers_max": 3, "live_readers_per_principal_max": 2}
    async with gateway(limits=limits) as world:
        one = await viewer(world)
        other = await world.services.enrolment.add_operator("other", "viewer")
        async with listening(world.app, one), listening(world.app, one), listening(world.app, one) as third:
            assert (third.status, "retry-after" in third.headers) == (429, True)
            async with listening(world.app, other) as heard, listening(world.app, other) as too_many:
                assert (heard.status, too_many.status) == (200, 503)
                assert "retry-after" in too_many.headers
        await eventually(lambda: world.services.live.readers == 0)
        async with listening(world.app, one) as heard:
            assert heard.status == 200


async def test_it_ends_soon_after_its_key_and_shows_life_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_route, "BEAT_S", 0.1)
    async with gateway() as world:
        await world.services.enrolment.add_operator("boss", "admin")
        key = await viewer(world)
        async with listening(world.app, key) as heard:
            hello = await heard.event("hello")
            await eventually(lambda: len(heard.beats) >= 2)
            assert set(heard.beats) == {hello.id}
            assert not heard.ended.is_set()
            await world.services.enrolment.remove_operator("watcher")
            await eventually(heard.ended.is_set)


async def test_the_log_is_followed_only_while_somebody_reads() -> None:
    async with gateway() as world:
        key, hub = await viewer(world), world.services.live
        assert hub.is_following is False
        async with listening(world.app, key) as one, listening(world.app, key) as two:
            await one.event("hello")
            await two.event("hello")
            assert hub.is_following is True
        await eventually(lambda: hub.is_following is False)


async def test_who_reads_too_slowly_is_told_what_it_missed_and_holds_little() -> None:
    async with gateway(limits={"live_queue_bytes_max": 20_000, "requests_per_s": 1e6}) as world:
        key, token = await viewer(world), await world.device("pi")
        async with (
            listening(world.app, key, kinds="readings,anomaly", device="pi") as slow,
            listening(world.app, key, kinds="readings", device="pi") as quick,
        ):
            await slow.event("hello")
            slow.reads.clear()
            await world.log.append(ANOMALIES, [anomaly_record(anomaly("pi"))])
            for seq in range(60):
                await world.post("/v1/batches", batch("pi", seq, n=100), token)
                assert (await quick.event("readings", "lost")).data["seq"] == seq
            held = max(r.stream.outbox.size_bytes for r in world.services.live.open_readers)
            assert held <= 20_000
            slow.reads.set()
            last = await _until_seq(slow, 59)
            names = [e.name for e in last]
            assert names.count("anomaly") == 1  # readings give way first
            lost = sum(e.data["events"] for e in last if e.name == "lost")
            assert lost + names.count("readings") == 60
            assert lost > 30


async def _until_seq(heard: Listening, seq: int) -> list[Any]:
    found = []
    while not found or found[-1].data.get("seq") != seq:
        found.append(await heard.event("readings", "anomaly", "lost"))
    return found


async def test_what_no_gateway_wrote_stops_no_stream() -> None:
    async with gateway() as world:
        key, token = await viewer(world), await world.device("pi")
        async with listening(world.app, key, kinds="readings,pulse,anomaly", device="pi") as heard:
            await heard.event("hello")
            await world.log.append(BATCHES, [Record("pi", b"\xff", {}), Record("pi", None, {"session": "s"})])
            await world.log.append(ANOMALIES, [Record("pi", b"{}", {})])
            await world.post("/v1/batches", batch("pi", 1), token)
            assert (await heard.event("readings", "anomaly")).data["seq"] == 1
