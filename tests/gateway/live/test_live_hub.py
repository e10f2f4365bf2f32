"""Coming back: through the ring, through the log, or told that it is too late; on this gateway or on another."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from telemetry.ports import BATCHES
from tests.gateway.gateway_world import World, batch, eventually, gateway
from tests.gateway.live.live_world import Heard, listening

RING, LOG = {}, {"live_ring_bytes_max": 0}


@contextlib.asynccontextmanager
async def watched(**limits: Any) -> AsyncIterator[tuple[World, str, str]]:
    """A gateway whose hub keeps running, a viewer's key and a device's token."""
    async with gateway(limits={"requests_per_s": 1e6, "requests_burst": 10**6, **limits}) as world:
        key = await world.services.enrolment.add_operator("watcher", "viewer")
        token = await world.device("pi")
        async with listening(world.app, key, kinds="anomaly"):
            yield world, key, token


async def post(world: World, token: str, *seqs: int) -> None:
    """One batch a seq."""
    for seq in seqs:
        answer = await world.post("/v1/batches", batch("pi", seq), token)
        assert answer.status_code == 200


async def first(world: World, key: str, after: str | None, n: int = 0, **query: Any) -> list[Heard]:
    """Connect, hear `hello` and n events more, and go."""
    query = {"kinds": "readings", "device": "pi"} | query | ({} if after is None else {"after": after})
    async with listening(world.app, key, **query) as heard:
        return await heard.events(n + 1)


@pytest.mark.parametrize("limits", [RING, LOG], ids=["ring", "log"])
async def test_it_goes_on_behind_the_id_wherever_it_was_cut(limits: dict[str, Any]) -> None:
    async with watched(**limits) as (world, key, token):
        (hello,) = await first(world, key, None)
        await post(world, token, *range(12))
        seqs: list[int] = []
        last = hello.id
        for n in (1, 3, 0, 5, 3):
            events = await first(world, key, last, n)
            assert events[0].name == "hello"
            assert events[0].id == last  # who breaks off at once goes on from the same
            seqs += [e.data["seq"] for e in events[1:]]
            last = events[-1].id
        assert seqs == list(range(12))
        await eventually(lambda: world.services.live.readers == 1)


@pytest.mark.parametrize("limits", [RING, LOG], ids=["ring", "log"])
async def test_who_came_back_hears_what_comes_then(limits: dict[str, Any]) -> None:
    async with watched(**limits) as (world, key, token):
        (hello,) = await first(world, key, None)
        await post(world, token, 0, 1)
        async with listening(world.app, key, kinds="readings,pulse", device="pi", after=hello.id) as heard:
            assert [e.data["seq"] for e in await heard.events(2, "readings")] == [0, 1]
            await post(world, token, 2, 3)
            assert [e.data["seq"] for e in await heard.events(2, "readings")] == [2, 3]


async def test_the_header_that_browsers_send_goes_before_the_query() -> None:
    async with watched() as (world, key, token):
        (hello,) = await first(world, key, None)
        await post(world, token, 0, 1)
        _, zero = await first(world, key, hello.id, 1)
        header = {"last-event-id": zero.id}
        async with listening(world.app, key, headers=header, kinds="readings", device="pi", after=hello.id) as heard:
            assert (await heard.event("readings")).data["seq"] == 1


async def test_it_goes_on_where_nobody_had_been_reading_meanwhile() -> None:
    async with gateway() as world:
        key, token = await world.services.enrolment.add_operator("w", "viewer"), await world.device("pi")
        (hello,) = await first(world, key, None)
        await eventually(lambda: not world.services.live.is_following)
        await post(world, token, 0, 1)
        events = await first(world, key, hello.id, 2)
        assert [e.data.get("seq") for e in events] == [None, 0, 1]


async def test_another_gateway_goes_on_from_the_same_id() -> None:
    async with watched() as (world, key, token), gateway(log=world.log) as other:
        await eventually(lambda: other.services.registry.device("pi") is not None)
        (hello,) = await first(world, key, None)
        await post(world, token, 0, 1, 2)
        _, zero = await first(other, key, hello.id, 1)
        assert zero.data["seq"] == 0
        assert [e.data.get("seq") for e in await first(world, key, zero.id, 2)] == [None, 1, 2]


@pytest.mark.parametrize("after", ["nonsense", "b0.99999_a0.0", "b7.0_a0.0", "b0.0_a7.0", "b_a"])
async def test_an_id_of_another_log_begins_anew(after: str) -> None:
    async with watched() as (world, key, token):
        await post(world, token, 0)
        async with listening(world.app, key, kinds="readings", device="pi", after=after) as heard:
            assert [e.name for e in await heard.events(2)] == ["hello", "reset"]
            await post(world, token, 1)
            assert (await heard.event("readings")).data["seq"] == 1


async def test_who_missed_too_much_begins_anew() -> None:
    async with watched(live_resume_records_max=5) as (world, key, token):
        (hello,) = await first(world, key, None)
        await post(world, token, *range(5))
        assert [e.name for e in await first(world, key, hello.id, 5)] == ["hello"] + ["readings"] * 5
        async with listening(world.app, key, kinds="readings", device="pi") as heard:
            await heard.event("hello")
            await post(world, token, 5, 6)
            await heard.events(2, "readings")  # so the hub has seen them
        _, reset = await first(world, key, hello.id, 1)
        assert reset.name == "reset"
        assert reset.data["why"] == "7 records were written since"


async def test_what_the_log_no_longer_has_cannot_be_gone_on_from() -> None:
    async with watched(live_ring_bytes_max=0) as (world, key, token):
        (hello,) = await first(world, key, None)
        await post(world, token, 0, 1)
        reader = await world.log.reader(BATCHES, "index")
        assert len(await reader.poll(records_max=9, bytes_max=10**6, wait_s=1)) == 2
        await reader.commit({0: 1})
        assert await world.log.prune(BATCHES, before_ns=2**62) == 1
        _, reset = await first(world, key, hello.id, 1)
        assert (reset.name, reset.data["why"]) == ("reset", "what was written since is no longer kept in the log")
        await reader.close()


async def test_a_slow_reader_that_catches_up_loses_nothing() -> None:
    limits = {"live_queue_bytes_max": 4_000, "live_ring_bytes_max": 0}
    async with watched(**limits) as (world, key, token):
        (hello,) = await first(world, key, None)
        await post(world, token, *range(50))
        async with listening(world.app, key, kinds="readings", device="pi", after=hello.id) as heard:
            assert [e.data.get("seq") for e in await heard.events(50, "readings", "lost")] == list(range(50))


async def test_the_hub_ends_every_stream_and_opens_no_more() -> None:
    async with watched() as (world, key, _), listening(world.app, key) as heard:
        await heard.event("hello")
        await world.services.live.close()
        await eventually(heard.ended.is_set)
        async with listening(world.app, key) as refused:
            assert refused.status == 503
        assert (world.services.live.readers, world.services.live.is_following) == (0, False)
