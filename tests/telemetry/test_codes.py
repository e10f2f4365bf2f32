"""Codes over a real table: one use, whichever gateway they reach, and nothing that stays behind."""

import asyncio

import pytest

from telemetry import codes
from telemetry.clock import SystemClock
from telemetry.enrolment import Issued
from telemetry.errors import NotFound, RateLimited
from telemetry.pen import record
from telemetry.ports import DEVICES, Record
from tests.telemetry.test_registry import Side, sides


def left(side: Side) -> list[str]:
    return [e.key for prefix in ("code/", "redeem/") for e in side.registry.entries(prefix)]


@pytest.mark.parametrize("known", [False, True])
async def test_a_code_used_at_two_gateways_at_once_gives_one_token(known: bool) -> None:
    async with sides(3) as (a, b, c):
        if known:
            await a.pen.enrol("pi")
        code = (await a.pen.offer("pi")).code
        for side in (b, c):
            await side.sees()
        results = await asyncio.gather(*(side.pen.redeem(code) for side in (a, b, c, a)), return_exceptions=True)
        issued = [r for r in results if isinstance(r, Issued)]
        assert len(issued) == 1
        assert sum(isinstance(r, NotFound) for r in results) == 3
        for side in (a, b, c):
            await side.sees()
            assert side.holder(issued[0].token).device == "pi"
            device = side.registry.device("pi")
            assert device is not None
            assert len(side.registry.tokens(device)) == 1 + known
            assert left(side) == []


async def test_a_late_claim_loses_although_the_winner_has_cleaned_up() -> None:
    """The slow gateway has read the code before it was used, and appends its claim after all traces are gone."""
    async with sides(2) as (fast, slow):
        code = (await fast.pen.offer("pi")).code
        await slow.sees()
        append = slow.pen._pen.append
        waited = asyncio.Event()

        async def late(records: list[Record]) -> None:
            if records[0].key.startswith("redeem/"):
                await waited.wait()
            await append(records)

        slow.pen._pen.append = late  # type: ignore[method-assign, assignment]
        trying = asyncio.create_task(slow.pen.redeem(code))
        await asyncio.sleep(0)
        await fast.pen.redeem(code)
        waited.set()
        with pytest.raises(NotFound):
            await trying
        await fast.sees()
        assert left(fast) == []


async def test_a_code_races_an_enrolment_of_the_same_name() -> None:
    async with sides(2) as (a, b):
        code = (await a.pen.offer("pi")).code
        await b.sees()
        issued, _ = await asyncio.gather(a.pen.redeem(code), b.pen.enrol("pi"), return_exceptions=True)
        assert isinstance(issued, Issued)
        for side in (a, b):
            await side.sees()
            assert side.holder(issued.token) is not None


async def test_deletion_and_revocation_end_the_codes_too() -> None:
    async with sides() as (side,):
        for end in (side.pen.revoke, side.pen.delete):
            await side.pen.redeem((await side.pen.offer("pi")).code)
            code, other = (await side.pen.offer("pi")).code, (await side.pen.offer("other")).code
            await end("pi")
            with pytest.raises(NotFound):
                await side.pen.redeem(code)
            assert (await side.pen.redeem(other)).device == "other"


async def test_expired_codes_are_cleaned_up_and_the_number_that_wait_is_bounded() -> None:
    async with sides() as (side,):
        now_ns = SystemClock().now_ns()
        old = {"device": "pi", "created_ns": 0, "expires_ns": now_ns - 1}
        await side.log.append(DEVICES, [record("code/old", old), record("redeem/old/1", {"at_ns": 1})])
        await side.pen.offer("pi")
        assert not any("old" in key for key in left(side))
        waiting = {"device": "pi", "created_ns": 0, "expires_ns": now_ns + 5 * 10**9}
        await side.log.append(DEVICES, [record(f"code/{n}", waiting) for n in range(codes.CODES_MAX)])
        with pytest.raises(RateLimited) as refused:
            await side.pen.offer("pi")
        assert 0 < (refused.value.retry_after_s or 0) <= 5


def test_codes_have_forty_bits_and_no_look_alikes() -> None:
    assert 32**codes.CHARS == 2**40
    assert set("ILOU") & set(codes.ALPHABET) == set()
    made = {codes.new_code() for _ in range(1_000)}
    assert len(made) == 1_000
    assert {c for code in made for c in code} == set(codes.ALPHABET) | {"-"}
