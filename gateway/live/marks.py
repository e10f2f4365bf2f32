"""An event's id <-> how far its reader has been told: the places in the log to go on from.  Pure.

    b0.123.2-1.456!0.3_a0.12~pi

`b` are the next offsets of `batches` by partition, `a` those of `anomalies`.  A third number (`.2`): so many of the
records before that offset lie in the open pulse window, see `pulses`.  `!0.3`: of the record at partition 0's
offset three series are told already.  `~pi`: the window is being closed, and told for devices up to `pi`.

So any cut between two events can be gone on from with nothing lost and nothing told twice.  Pages treat it as opaque.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from telemetry.batch import NAME

MARK_CHARS_MAX = 16_384  # a few hundred partitions
NUMBER_MAX = 2**63 - 1
_PART = re.compile(r"(\d{1,9})\.(\d{1,19})(?:\.(\d{1,19}))?", re.ASCII)
_MARK = re.compile(r"b(?P<batches>[\d.-]*)(?:!(?P<within>\d{1,9}\.\d{1,9}))?_a(?P<anomalies>[\d.-]*)(?:~(?P<told>.+))?")


@dataclass(frozen=True, slots=True)
class Mark:
    """Next offsets by partition.  `window`: where the open pulse window began, for partitions where that is earlier.

    `within` is (partition, series told of the record at its next offset); `told`: the last device told of a closing
    window.
    """

    batches: Mapping[int, int]
    anomalies: Mapping[int, int]
    window: Mapping[int, int] = field(default_factory=dict)
    within: tuple[int, int] | None = None
    told: str | None = None

    def __str__(self) -> str:
        within = "" if self.within is None else f"!{self.within[0]}.{self.within[1]}"
        told = "" if self.told is None else f"~{self.told}"
        return f"b{_text(self.batches, self.window)}{within}_a{_text(self.anomalies, {})}{told}"

    @property
    def begin(self) -> dict[int, int]:
        """Where `batches` must be read from to go on."""
        return {**self.batches, **self.window}

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read back; None for what is no mark."""
        found = _MARK.fullmatch(text) if len(text) <= MARK_CHARS_MAX else None
        if found is None:
            return None
        batches, window = _offsets(found["batches"])
        anomalies, none = _offsets(found["anomalies"])
        told = found["told"]
        if batches is None or anomalies is None or none or (told is not None and not NAME.fullmatch(told)):
            return None
        within = None
        if found["within"] is not None:
            partition, series = (int(n) for n in found["within"].split("."))
            if partition not in batches:
                return None
            within = (partition, series)
        return cls(batches, anomalies, window, within, told)


def _text(offsets: Mapping[int, int], window: Mapping[int, int]) -> str:
    parts = []
    for partition in sorted(offsets):
        offset = offsets[partition]
        behind = offset - window.get(partition, offset)
        parts.append(f"{partition}.{offset}.{behind}" if behind else f"{partition}.{offset}")
    return "-".join(parts)


def _offsets(text: str) -> tuple[dict[int, int] | None, dict[int, int]]:
    """The offsets, None when they make no sense, and where the window begins."""
    offsets: dict[int, int] = {}
    window: dict[int, int] = {}
    for part in text.split("-") if text else ():
        found = _PART.fullmatch(part)
        if found is None:
            return None, {}
        partition, offset, behind = int(found[1]), int(found[2]), int(found[3] or 0)
        if partition in offsets or offset > NUMBER_MAX or behind > offset:
            return None, {}
        offsets[partition] = offset
        if behind:
            window[partition] = offset - behind
    return offsets, window
