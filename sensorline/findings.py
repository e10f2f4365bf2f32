"""What a check found, for `doctor` and `edge check`: how it ended, in a line, and what mends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended; only an error makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what mends it."""

    check: str
    level: Level
    detail: str
    mend: str = ""


def has_error(findings: Sequence[Finding]) -> bool:
    """Whether the command must fail."""
    return any(f.level is Level.ERROR for f in findings)
