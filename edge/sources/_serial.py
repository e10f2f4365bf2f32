"""A serial port, read as bytes arrive: the event loop waits on it, so arrival times are true and no thread idles."""

import asyncio
from contextlib import suppress
from typing import Any

from pydantic import Field

from edge.sources import Options, SourceFailed, driver

CHUNK_BYTES = 4096


class SerialOptions(Options):
    """What every source on a serial port has."""

    port: str = Field(min_length=1, description="e.g. /dev/serial0, /dev/ttyUSB0 or a name in /dev/serial/by-id")
    baud: int = Field(9600, ge=50, le=4_000_000)


class Port:
    """One serial port; locked, so that two sources do not share its bytes."""

    def __init__(self, options: SerialOptions, extra: str) -> None:
        """Raises `Misconfigured` without pyserial; opens nothing yet."""
        self._serial = driver("serial", extra)
        self._options = options
        self._open: Any = None

    async def __aenter__(self) -> "Port":
        """Open it.  Raises `SourceFailed`."""
        name = self._options.port
        try:  # does not block: the file is opened with O_NONBLOCK
            self._open = self._serial.Serial(name, self._options.baud, timeout=0, exclusive=True)
        except (OSError, ValueError) as e:  # pyserial's own error is an OSError
            raise SourceFailed(f"{name} cannot be opened: {e}") from e
        return self

    async def __aexit__(self, *exc: object) -> None:
        opened, self._open = self._open, None
        with suppress(OSError):  # it may have been unplugged
            opened.close()

    async def read(self, wait_s: float) -> bytes:
        """What has arrived, b"" after `wait_s` of silence.  Raises `SourceFailed` when it was unplugged."""
        try:
            async with asyncio.timeout(wait_s):
                await self._readable()
        except TimeoutError:
            return b""
        try:
            return bytes(self._open.read(CHUNK_BYTES))
        except OSError as e:
            raise SourceFailed(f"{self._options.port}: {e}") from e

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        number = self._open.fileno()
        loop.add_reader(number, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_reader(number)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
