"""PORT: sources.  A sensor, a file, a table or somebody's topic -> series of readings.  One source a file.

A source's module has `Config` (a pydantic model, strict about names) and `open(config, context) -> Source`.  The
agent runs each source in a task of its own: a source that raises is started again with a growing wait and counted; it
never takes the agent down.  Blocking drivers are called through `asyncio.to_thread`, many readings a call.

Importing a source's module must not need its driver: import that in `open`, through `driver`, so that a missing
library is named with the extra that brings it.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from telemetry.batch import Series
from telemetry.clock import Clock
from telemetry.errors import Misconfigured, Retryable


class SourceFailed(Retryable):
    """The device, file or server behind a source does not answer as it should; it is tried again later."""

    code = "source_failed"


class Options(BaseModel):
    """Base of each source's `Config`; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that could not become a reading: where it stood, why, and its text (cut to `TEXT_CHARS_MAX`)."""

    line: int  # 1-based in its file or its answer; 0 when it has no place
    reason: str  # a telemetry.outcome.Reason
    text: str
    detail: str = ""


TEXT_CHARS_MAX = 500


class Outlet(Protocol):
    """Where a source hands over what it read."""

    async def put(self, series: Sequence[Series], *, cursor: str | None = None) -> None:
        """Take these readings; waits while the spool is full and its policy is `block`.

        `cursor` says where to resume after these readings.  It becomes durable in the same transaction as they do, so
        that a crash neither skips a row nor reads one twice.
        """
        ...

    def set_aside(self, rows: Sequence[Bad]) -> None:
        """Keep bad rows apart, counted by reason."""
        ...

    def lost(self, readings: int, reason: str) -> None:
        """Count readings that are known to have been there and could not be had, e.g. "fifo_overflow"."""
        ...


class Stamp(Protocol):
    """Reading times from the monotonic clock, tied to wall time."""

    def now_ns(self) -> int:
        """UTC nanoseconds for a reading taken now."""
        ...

    def at_ns(self, monotonic_s: float) -> int:
        """UTC nanoseconds of a moment of `Clock.monotonic_s`."""
        ...

    def utc_is(self, utc_ns: int, monotonic_s: float) -> None:
        """A trusted clock (a GPS fix) says that it was `utc_ns` at that moment."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a source is opened with.  `name` is its own in the configuration, `cursor` what it last handed over."""

    name: str
    clock: Clock
    stamp: Stamp
    folder: Path  # relative paths in a source's options start at the configuration file's folder
    cursor: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)  # for tests: a fake bus, by name


class Source(Protocol):
    """One opened source."""

    async def run(self, outlet: Outlet) -> None:
        """Hand over readings until cancelled, or return at the end (of a file).

        Raises `SourceFailed`, `OSError`, or `Misconfigured` (then it is not tried again until its settings change).
        Lets go of its device when it ends, however it ends.
        """
        ...

    async def check(self) -> str:
        """Try it once, within a few seconds: what was found, in a line for a person.  Raises as `run` does."""
        ...


class Adapter(Protocol):
    """What a source's module is."""

    @property
    def Config(self) -> type[Options]:  # noqa: N802 - a class
        """Its options."""
        ...

    def open(self, config: Any, context: Context) -> Source:
        """Make it; touches no device yet.  Raises `Misconfigured` for a missing library."""
        ...


def driver(module: str, extra: str) -> ModuleType:
    """Import a source's library; raises `Misconfigured` naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise Misconfigured(f"{module} is not installed: pip install 'sensorline[{extra}]'") from e
