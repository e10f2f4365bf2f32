"""Waiting for an event with a deadline on the `Clock` port, so that a manual clock drives it too."""

import asyncio

from telemetry.clock import Clock


async def until(event: asyncio.Event, clock: Clock, wait_s: float) -> bool:
    """True as soon as `event` is set; False when `wait_s` passed before."""
    if event.is_set() or wait_s <= 0:
        return event.is_set()
    told = asyncio.ensure_future(event.wait())
    slept = asyncio.ensure_future(clock.sleep(wait_s))
    try:
        await asyncio.wait((told, slept), return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        slept.cancel()
    return event.is_set()
