"""The audit trail: every change that a person makes is in the log before it is made; never a secret."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from telemetry.clock import Clock
from telemetry.errors import LogUnavailable, SensorlineError
from telemetry.ports import AUDIT, Entry, Log, Record

POLL_BYTES_MAX = 4 * 2**20


class Audit:
    """Appends to and reads from the `audit` topic."""

    def __init__(self, log: Log, clock: Clock, *, wait_s: float = 10.0) -> None:
        self._log = log
        self._clock = clock
        self._wait_s = wait_s

    @asynccontextmanager
    async def change(
        self, who: str, what: str, subject: str, details: Mapping[str, Any] | None = None
    ) -> AsyncIterator[None]:
        """Record the change, then let it be made; a change that fails is recorded as failed too.

        Raises `LogUnavailable`, and then nothing was changed.
        """
        await self._append(who, what, subject, "begun", details or {})
        try:
            yield
        except SensorlineError as e:
            await self._append(who, what, subject, f"failed: {e.code}", {})
            raise

    async def note(self, who: str, what: str, subject: str, outcome: str, details: Mapping[str, Any]) -> None:
        """Record what changed nothing, such as a refused login; raises `LogUnavailable`."""
        await self._append(who, what, subject, outcome, details)

    async def recent(self, limit: int) -> list[dict[str, Any]]:
        """The last entries, newest first."""
        ends, begins = await self._log.ends(AUDIT), await self._log.begins(AUDIT)
        start = {p: max(begins.get(p, 0), end - limit) for p, end in ends.items()}
        reader = await self._log.follow(AUDIT, start)
        found: list[Entry] = []
        try:
            async with asyncio.timeout(self._wait_s):
                while any(_next(found, p, start[p]) < end for p, end in ends.items()):
                    found += await reader.poll(records_max=limit, bytes_max=POLL_BYTES_MAX, wait_s=0.2)
        except TimeoutError as e:
            raise LogUnavailable("the audit trail could not be read in time", retry_after_s=1.0) from e
        finally:
            await reader.close()
        return [_shown(e) for e in sorted(found, key=lambda e: e.offset, reverse=True)[:limit]]

    async def _append(self, who: str, what: str, subject: str, outcome: str, details: Mapping[str, Any]) -> None:
        entry = {"who": who, "what": what, "subject": subject, "outcome": outcome, "at_ns": self._clock.now_ns()}
        record = Record(subject, orjson.dumps(entry | {"details": dict(details)}))
        try:
            async with asyncio.timeout(self._wait_s):
                await self._log.append(AUDIT, [record])
        except TimeoutError as e:
            raise LogUnavailable("the log did not take the audit entry in time", retry_after_s=1.0) from e


def _next(found: list[Entry], partition: int, start: int) -> int:
    return max((e.offset + 1 for e in found if e.partition == partition), default=start)


def _shown(entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(entry.value or b"{}")
    return shown
