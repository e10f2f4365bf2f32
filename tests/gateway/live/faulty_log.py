"""A log in memory that fails those who follow it, in the ways a test says."""

import asyncio
from collections.abc import Mapping
from typing import Any

from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import BATCHES, Entry, Reader, Topic


class FaultyLog(MemoryLog):
    """Followers of `batches`: `error` is raised at them, `is_deaf` ones that catch up are never given anything."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Config(), **options)
        self.error: Exception | None = None
        self.is_deaf = False
        self.followed = 0  # how often somebody began
        self.open_readers = 0  # that are not `prompt`
        self.asked = 0
        self.answers = asyncio.Event()  # of `ends`
        self.answers.set()

    async def follow(self, topic: Topic, start: Mapping[int, int] | None = None, *, prompt: bool = False) -> Reader:
        """As the port says."""
        reader = await super().follow(topic, start, prompt=prompt)
        if topic != BATCHES:
            return reader
        self.followed += 1
        self.open_readers += not prompt
        return _Faulty(self, reader, prompt)

    async def ends(self, topic: Topic) -> dict[int, int]:
        """As the port says."""
        self.asked += topic == BATCHES
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return await super().ends(topic)


class _Faulty:
    """A reader of such a log."""

    def __init__(self, log: FaultyLog, reader: Reader, prompt: bool) -> None:
        self._log = log
        self._reader = reader
        self._prompt = prompt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def poll(self, **bounds: Any) -> list[Entry]:
        """As the port says."""
        if self._log.is_deaf and not self._prompt:
            await asyncio.sleep(0.01)
            return []
        entries = await self._reader.poll(**bounds)
        if self._log.error is not None:
            raise self._log.error
        return entries

    async def close(self) -> None:
        """As the port says."""
        self._log.open_readers -= not self._prompt
        await self._reader.close()
