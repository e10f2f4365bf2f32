"""A dead letter is seen with its reason and can be sent back: once, under its device's key, and stored once."""

from typing import Any

import pytest

from telemetry.deadletters import dead_letter
from telemetry.outcome import Reason
from telemetry.ports import BATCHES, DEADLETTERS, DEVICES, Record
from tests.gateway.gateway_world import World, batch, gateway, stored
from tests.gateway.read_world import Person, consume, reading_gateway, settle


async def poison(world: World, value: bytes = b"\xff\x00", key: str = "pi", **headers: str) -> None:
    """A record that no gateway wrote, dead-lettered by the index."""
    known = len(await stored(world.log))
    await world.log.append(BATCHES, [Record(key, value, headers)])
    await consume(world, (await stored(world.log))[known:])


async def set_aside(world: World, device: str = "pi", seq: int = 0) -> None:
    """A good batch that the store refused, as if its disk had been broken that day."""
    token = world.tokens.get(device) or await world.device(device)
    assert (await world.post("/v1/batches", batch(device, seq), token)).status_code == 200
    entry = (await stored(world.log))[-1]
    await world.log.append(DEADLETTERS, [dead_letter(entry, Reason.STORE_REFUSED, "disk", 5_000)])


async def replay(person: Person, **which: Any) -> dict[str, int]:
    answer = await person.ask("POST", "/v1/deadletters/replay", json=which)
    assert answer.status_code == 200, answer.text
    done: dict[str, int] = answer.json()
    return done


async def listed(person: Person, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.get("/v1/deadletters", **params)).json()["deadletters"]
    return found


async def test_a_poisoned_record_is_listed_with_its_reason() -> None:
    async with reading_gateway("operator") as (world, operator):
        await poison(world, session="s", seq="7")
        (letter,) = await listed(operator)
        assert letter.pop("at_ns") > 0
        assert "headers" in letter.pop("detail")
        assert letter == {
            "id": "0-0",
            "reason": "undecodable",
            "topic": "batches",
            "partition": 0,
            "offset": 0,
            "key": "pi",
            "session": "s",
            "seq": 7,
            "replayed": False,
        }


async def test_the_newest_come_first_and_a_limit_holds() -> None:
    async with reading_gateway("operator") as (world, operator):
        for k in range(5):
            await poison(world, seq=str(k))
        assert [letter["seq"] for letter in await listed(operator)] == [4, 3, 2, 1, 0]
        await replay(operator, ids=["0-0", "0-4"])
        cut = await listed(operator, limit=2)
        assert [(letter["seq"], letter["replayed"]) for letter in cut] == [(4, True), (3, False)]


async def test_a_replayed_batch_is_stored_and_marked() -> None:
    async with reading_gateway("operator") as (world, operator):
        await set_aside(world)
        before = (await stored(world.log))[0]
        assert await replay(operator, ids=["0-0"]) == {"replayed": 1, "skipped": 0, "left": 0}
        again = (await stored(world.log))[1]
        assert (again.key, again.value, again.headers) == (before.key, before.value, before.headers)
        await consume(world, [again])
        assert (await world.services.store.counts()).readings == 2
        await settle(world)  # the first attempt succeeds after all
        assert (await world.services.store.counts()).readings == 2
        assert [letter["replayed"] for letter in await listed(operator)] == [True]


async def test_nothing_is_replayed_twice() -> None:
    async with reading_gateway("operator") as (world, operator):
        for seq in range(3):
            await set_aside(world, seq=seq)
        assert await replay(operator, ids=["0-1", "0-1"]) == {"replayed": 1, "skipped": 0, "left": 0}
        assert await replay(operator, ids=["0-1", "0-77", "9-0"]) == {"replayed": 0, "skipped": 3, "left": 0}
        assert await replay(operator, all=True) == {"replayed": 2, "skipped": 0, "left": 0}
        assert await replay(operator, all=True) == {"replayed": 0, "skipped": 0, "left": 0}
        assert [e.headers["seq"] for e in await stored(world.log)] == ["0", "1", "2", "1", "0", "2"]


async def test_more_than_one_call_takes_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.letters.REPLAY_MAX", 3)
    monkeypatch.setattr("gateway.letters.CHUNK_RECORDS", 2)
    async with reading_gateway("operator") as (world, operator):
        for k in range(5):
            await poison(world, seq=str(k))
        assert await replay(operator, all=True) == {"replayed": 3, "skipped": 0, "left": 2}
        assert await replay(operator, all=True) == {"replayed": 2, "skipped": 0, "left": 0}


async def test_a_letter_that_dies_again_is_a_new_letter() -> None:
    async with reading_gateway("operator") as (world, operator):
        await poison(world)
        await replay(operator, all=True)
        await consume(world, (await stored(world.log))[1:])
        first, second = sorted(await listed(operator), key=lambda letter: letter["offset"])
        assert (first["replayed"], second["replayed"]) == (True, False)
        assert second["offset"] == 1


async def test_a_deleted_device_does_not_come_back() -> None:
    async with reading_gateway("operator") as (world, operator):
        await set_aside(world)
        await world.services.enrolment.delete("pi")
        assert await replay(operator, all=True) == {"replayed": 0, "skipped": 1, "left": 0}
        assert len(await stored(world.log)) == 1


async def test_a_letter_cannot_reach_the_registry() -> None:
    """Whoever could write dead letters must not thereby make an admin."""
    async with reading_gateway("operator") as (world, operator):
        ends = await world.log.ends(DEVICES)
        headers = {"dl-reason": "x", "dl-topic": "devices", "dl-partition": "0", "dl-offset": "0", "dl-at": "1"}
        await world.log.append(DEADLETTERS, [Record("operator/" + "0" * 64, b'{"role":"admin"}', headers)])
        assert await replay(operator, all=True) == {"replayed": 0, "skipped": 1, "left": 0}
        assert await world.log.ends(DEVICES) == ends


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"all": False}, {"ids": ["0-1"], "all": True}, {"ids": ["x"]}, {"ids": "0-1"}, [], {"al": 1}],
)
async def test_a_wrong_replay_is_refused(body: object) -> None:
    async with reading_gateway("operator") as (world, operator):
        await poison(world)
        refused = await operator.ask("POST", "/v1/deadletters/replay", json=body)
        assert refused.status_code == 422
        assert [letter["replayed"] for letter in await listed(operator)] == [False]


async def test_a_viewer_sees_but_does_not_replay_and_each_replay_is_audited() -> None:
    async with gateway() as world:
        viewer = Person(world, await world.services.enrolment.add_operator("v", "viewer"))
        operator = Person(world, await world.services.enrolment.add_operator("o", "operator"))
        admin = Person(world, await world.services.enrolment.add_operator("a", "admin"))
        await poison(world)
        assert len(await listed(viewer)) == 1
        refused = await viewer.ask("POST", "/v1/deadletters/replay", json={"all": True})
        assert refused.status_code == 403
        await replay(operator, all=True)
        (entry,) = (await admin.get("/v1/audit")).json()["audit"]
        assert (entry["who"], entry["what"], entry["outcome"]) == ("o", "deadletters.replay", "begun")
        assert (await operator.get("/v1/audit")).status_code == 403
