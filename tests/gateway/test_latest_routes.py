"""`/v1/latest` and `/v1/catalogue`: what a page knows before anything new comes."""

import orjson

from telemetry.reading import CATALOGUE
from tests.gateway.gateway_world import T0, World, batch, bearer, gateway
from tests.gateway.read_world import settle


def powered(device: str, seq: int, t0: int, level: float) -> bytes:
    series = {"sensor": "battery", "t0": t0, "dt": [0], "values": {"level": [level], "state": ["unplugged"]}}
    return orjson.dumps({"v": 1, "device": device, "session": "s", "seq": seq, "series": [series]})


async def asked(world: World, key: str, **query: object) -> list[dict[str, object]]:
    async with world.client as client:
        answer = await client.get("/v1/latest", params=query, headers=bearer(key))  # type: ignore[arg-type]
        assert answer.status_code == 200
        found: list[dict[str, object]] = answer.json()["latest"]
        return found


async def test_the_newest_battery_and_position_of_the_last_day() -> None:
    async with gateway() as world:
        key = await world.services.enrolment.add_operator("v", "viewer")
        token, gone = await world.device("pi"), await world.device("gone")
        now_ns = world.services.clock.now_ns()
        for seq, (t_ns, level) in enumerate([(now_ns - 10**9, 0.87), (now_ns - 9 * 10**9, 0.95)]):
            await world.post("/v1/batches", powered("pi", seq, t_ns, level), token)
        await world.post("/v1/batches", powered("gone", 0, now_ns, 0.5), gone)
        await world.post("/v1/batches", batch("pi", 9), token)
        await settle(world)
        newest = {
            "device": "pi",
            "sensor": "battery",
            "t": now_ns - 10**9,
            "values": {"level": 0.87, "state": "unplugged"},
        }
        assert [row["device"] for row in await asked(world, key)] == ["gone", "pi"]
        await world.services.enrolment.delete("gone")
        assert await asked(world, key) == [newest]
        assert await asked(world, key, sensor="acceleration") == []  # that was in 2023
        old = await asked(world, key, sensor=["acceleration", "battery"], **{"from": "2023-01-01"})
        assert [(row["sensor"], row["t"]) for row in old] == [
            ("acceleration", T0 + 10_000_000),
            ("battery", newest["t"]),
        ]


async def test_the_catalogue_has_every_sensor_with_its_fields() -> None:
    async with gateway() as world, world.client as client:
        key = await world.services.enrolment.add_operator("v", "viewer")
        sensors = (await client.get("/v1/catalogue", headers=bearer(key))).json()["sensors"]
        assert [s["name"] for s in sensors] == list(CATALOGUE)
        battery = next(s for s in sensors if s["name"] == "battery")
        assert battery["fields"][:3] == [
            {"name": "level", "unit": "1", "kind": "number"},
            {"name": "state", "unit": "", "kind": "text"},
            {"name": "low_power", "unit": "", "kind": "bool"},
        ]
