"""PORT: what a person takes home.  One format a file; its name is what `format=` says.  Pure: pieces in, bytes out.

A format is a module with `media_type`, `suffix`, `sensor` and `open`.  A writer holds no more than the piece it was
given and what the format needs to end (the Parquet footer: some 5 KB a piece).
"""

from collections.abc import Sequence
from typing import Protocol, cast

import pyarrow as pa

from telemetry import adapters


class Writer(Protocol):
    """One document on its way out."""

    def write(self, sensor: str, table: pa.Table) -> bytes:
        """The bytes of one more piece, as a store's `export` gives them, by sensor and in order."""
        ...

    def end(self) -> bytes:
        """What completes the document; nothing may be written after it."""
        ...


class Format(Protocol):
    """A module of this folder."""

    @property
    def media_type(self) -> str:
        """The Content-Type."""
        ...

    @property
    def suffix(self) -> str:
        """The file name's suffix, without the dot."""
        ...

    @property
    def sensor(self) -> str | None:
        """The only sensor that it can show, or None for all."""
        ...

    def open(self, device: str, sensors: Sequence[str]) -> Writer:
        """A writer for these sensors of the device; nothing else may be written to it."""
        ...


def formats() -> list[str]:
    """Their names."""
    return adapters.names(__name__)


def load_format(name: str) -> Format:
    """The format's module; raises `Misconfigured` when there is none."""
    return cast(Format, adapters.load(__name__, name))
