"""How changes get into the `devices` topic: one after another in a process, appended and then read back.

The answer to a change is given after reading it back: of two gateways that race, the first offset wins and both say so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from telemetry.clock import Clock
from telemetry.errors import LogUnavailable
from telemetry.ports import DEVICES, Log, Record
from telemetry.registry import Registry


class Pen:
    """What all writers of the registry in a process share."""

    def __init__(self, log: Log, registry: Registry, clock: Clock, *, wait_s: float = 10.0) -> None:
        self.registry = registry
        self.clock = clock
        self.one_at_a_time = asyncio.Lock()
        self._log = log
        self._wait_s = wait_s

    async def sync(self) -> None:
        """See what was written until now; raises `LogUnavailable` or `NotReady`."""
        await self.registry.sync(self._wait_s)

    async def append(self, records: Sequence[Record]) -> None:
        """Write, and read it back; raises `LogUnavailable` or `NotReady`."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._log.append(DEVICES, records)
        except TimeoutError as e:
            raise LogUnavailable("the log did not take the change in time", retry_after_s=1.0) from e
        await self.sync()


def record(key: str, value: Mapping[str, Any]) -> Record:
    """A change."""
    return Record(key, orjson.dumps(value))


def gone(keys: Sequence[str]) -> list[Record]:
    """The removal of these keys."""
    return [Record(key, None) for key in keys]
