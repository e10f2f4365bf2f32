"""Names and times as Elasticsearch has them: indices by day, nanoseconds as text."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from telemetry.stores._days import DAY_NS

_THREE_DIGITS = np.frombuffer(b"".join(b"%03d" % k for k in range(1000)), np.uint8).reshape(-1, 3)
_SECOND_NS = 10**9
_EPOCH = datetime(1970, 1, 1)
ISO_CHARS = 30


@dataclass(frozen=True, slots=True)
class Names:
    """The indices of an installation."""

    prefix: str

    @property
    def readings(self) -> str:
        """The pattern of every index with rows."""
        return f"{self.prefix}readings-*"

    @property
    def skewed(self) -> str:
        """Rows whose clock is impossible, or so late that a day index is not worth it."""
        return f"{self.prefix}readings-skewed"

    @property
    def claims(self) -> str:
        """One document a batch."""
        return f"{self.prefix}claims"

    @property
    def sessions(self) -> str:
        """One document a session: the ledger's."""
        return f"{self.prefix}sessions"

    @property
    def anomalies(self) -> str:
        """One document an anomaly."""
        return f"{self.prefix}anomalies"

    @property
    def windows(self) -> str:
        """The pattern of every index with windows."""
        return f"{self.prefix}windows-*"

    @property
    def windows_skewed(self) -> str:
        """As `skewed`."""
        return f"{self.prefix}windows-skewed"

    def day(self, day: int) -> str:
        """The index of a day's rows, counted from 1970."""
        return f"{self.prefix}readings-{_dotted(day)}"

    def windows_day(self, day: int) -> str:
        """The index of a day's windows."""
        return f"{self.prefix}windows-{_dotted(day)}"

    def day_of(self, index: str) -> int | None:
        """The day of an index of rows or windows, None when it is not a day's."""
        date = index.removeprefix(self.prefix).partition("-")[2]
        try:
            return int(np.datetime64(date.replace(".", "-"), "D").astype(np.int64))
        except ValueError:
            return None


def _dotted(day: int) -> str:
    return str(np.datetime64(day, "D")).replace("-", ".")


def iso_text(t: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """(n, 30): `2026-11-22T14:57:39.123456789Z`, every nanosecond kept, of times from 1970 to 2262."""
    seconds = t // _SECOND_NS
    nanos = t - seconds * _SECOND_NS
    first, last = (int(seconds.min()), int(seconds.max())) if len(t) else (0, 0)
    if last - first < len(t) + 60:  # a sensor at work: every second of the span is soon needed
        distinct, inverse = np.arange(first, last + 1), seconds - first
    else:
        distinct, inverse = np.unique(seconds, return_inverse=True)
    heads = np.datetime_as_string(distinct.astype("datetime64[s]")).astype("S19")
    out = np.empty((len(t), ISO_CHARS), np.uint8)
    out[:, :19] = heads.view(np.uint8).reshape(-1, 19)[inverse]
    out[:, 19] = ord(".")
    out[:, 20:23] = _THREE_DIGITS[nanos // 1_000_000]
    out[:, 23:26] = _THREE_DIGITS[nanos // 1000 % 1000]
    out[:, 26:29] = _THREE_DIGITS[nanos % 1000]
    out[:, 29] = ord("Z")
    return out


def iso(t_ns: int) -> str:
    """One time as text."""
    seconds, nanos = divmod(t_ns, _SECOND_NS)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{nanos:09d}Z"


def from_iso(text: str) -> int:
    """The nanoseconds of a text that `iso` made, or that Elasticsearch printed."""
    return int(np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64))


def day_end_ns(day: int) -> int:
    """The first nanosecond after a day."""
    return (day + 1) * DAY_NS
