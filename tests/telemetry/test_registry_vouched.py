"""Who sends when a broker vouches for the device: `Registry.holder_of`."""

import asyncio

from telemetry.clock import SystemClock
from telemetry.registry import Holder
from tests.telemetry.test_registry import HOUR_NS, Side, sides


def vouched(side: Side, device: str = "pi", *, later_ns: int = 0) -> Holder | None:
    return side.registry.holder_of(device, SystemClock().now_ns() + later_ns)


async def test_only_an_enrolled_device_with_a_valid_token_sends() -> None:
    async with sides() as (side,):
        assert vouched(side) is None
        issued = await side.pen.enrol("pi", platform="ios")
        held = vouched(side)
        assert held is not None
        assert held == side.holder(issued.token)
        assert vouched(side, "pi2") is None, "another name that begins alike"
        await side.pen.revoke("pi")
        assert vouched(side) is None
        again = await side.pen.rotate("pi", overlap_s=0)
        assert vouched(side) == side.holder(again.token)
        await side.pen.delete("pi")
        assert vouched(side) is None
        await side.pen.enrol("pi")
        renewed = vouched(side)
        assert renewed is not None and renewed.enrolment != held.enrolment


async def test_a_token_that_has_expired_stands_for_nobody() -> None:
    async with sides() as (side,):
        await side.pen.enrol("pi")
        second = await side.pen.rotate("pi", overlap_s=60)
        await side.pen.revoke("pi", token_id=second.token_id)
        assert vouched(side) is not None, "the first, in its overlap"
        assert vouched(side, later_ns=HOUR_NS) is None


async def test_while_tokens_overlap_each_phone_keeps_its_own() -> None:
    async with sides() as (side,):
        first = await side.pen.enrol("phone")
        held = vouched(side, "phone")
        assert held is not None
        await side.pen.pin(held, "old-phone")
        second = await side.pen.rotate("phone", overlap_s=60)
        now = vouched(side, "phone")
        assert now is not None
        assert (now.token_id, now.source_id, now.also_pinned) == (second.token_id, None, {"old-phone"})
        await side.pen.pin(now, "new-phone")
        both = vouched(side, "phone")
        assert both is not None
        assert both.source_id == "new-phone" and both.also_pinned == {"old-phone", "new-phone"}
        await side.pen.revoke("phone", token_id=first.token_id)
        later = vouched(side, "phone")
        assert later is not None and later.also_pinned == {"new-phone"}


async def test_another_gateway_sees_a_revocation() -> None:
    async with sides(2) as (one, other):
        await one.pen.enrol("pi")
        await other.sees()
        assert vouched(other) is not None
        await one.pen.revoke("pi")
        await asyncio.wait_for(other.sees(), 5)
        assert vouched(other) is None
