"""PORT: dialects.  bytes -> batches.  One dialect a file."""

from typing import cast

from telemetry import adapters
from telemetry.ports import Dialect


def load_dialect(name: str) -> Dialect:
    """The dialect's module."""
    return cast(Dialect, adapters.load("telemetry.dialects", name))
