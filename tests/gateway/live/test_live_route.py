"""`/v1/live` from outside: who may, what comes, and how it ends."""

from tests.gateway.gateway_world import World, batch, eventually, gateway
from tests.gateway.live.live_world import listening


async def viewer(world: World) -> str:
    return await world.services.enrolment.add_operator("watcher", "viewer")


async def test_a_reading_is_told_soon_after_its_post() -> None:
    async with gateway() as world:
        key = await viewer(world)
        token = await world.device("pi")
        async with listening(world.app, key, kinds="readings,pulse", device="pi") as heard:
            assert heard.status == 200
            assert heard.headers["content-type"].startswith("text/event-stream")
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
            assert world.services.live.readers == 1
        await eventually(lambda: world.services.live.readers == 0)
