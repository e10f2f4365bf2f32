"""The raw rows around an anomaly: a short tape of the last ones, and the clip that an anomaly takes of it.  Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from consumers.timeline import Layout, Rows
from telemetry.anomaly import Samples

CLIPS_MAX = 4  # of the largest size, a stream: what more would need is left out and said


@dataclass(slots=True, eq=False)
class Clip:
    """Rows from before the start until `until_at` of the stream's time; `room` more rows may come."""

    rows: Rows
    until_at: int
    room: int
    is_complete: bool
    is_truncated: bool

    def take(self, rows: Rows) -> None:
        """The stream went on with these."""
        if self.is_complete:
            return
        wanted = int(rows.at.searchsorted(self.until_at, "right"))
        taken = min(wanted, self.room)
        if taken:
            self.rows = self.rows.joined(rows.cut(0, taken))
        self.room -= taken
        self.is_truncated = self.is_truncated or taken < wanted
        self.is_complete = wanted < len(rows) or not self.room


@dataclass(frozen=True, slots=True)
class Tape:
    """The last rows: at most `rows_max`, and none older than `span_ns`."""

    rows_max: int
    span_ns: int

    def wound(self, rows: Rows) -> Rows:
        """What the tape holds after these, of which it held the first."""
        if not len(rows):
            return rows
        oldest = int(rows.at.searchsorted(int(rows.at[-1]) - self.span_ns))
        return rows.cut(max(oldest, len(rows) - self.rows_max), len(rows))


def clip(rows: Rows, found: int, since_at: int, samples_ns: int, rows_max: int) -> Clip:
    """Of `rows`, one of which (`found`) opened an anomaly that began at `since_at`, at most `samples_ns` before it.

    A tape that holds one row more than `rows_before` shows whether that was enough.
    """
    before_max = rows_before(rows_max)
    wanted = int(rows.at.searchsorted(since_at - samples_ns))
    begin = max(wanted, found - before_max)
    until_at = max(since_at + samples_ns, int(rows.at[found]))
    taken = Clip(
        rows.cut(begin, found), until_at, rows_max - (found - begin), is_complete=False, is_truncated=begin > wanted
    )
    taken.take(rows.cut(found, len(rows)))
    return taken


def rows_before(rows_max: int) -> int:
    """How many of a clip's rows may lie before the one at which it was found: what is found late began before."""
    return rows_max * 3 // 4


def samples(taken: Clip, layout: Layout) -> Samples:
    """As a record tells them; a column that is absent throughout is left out."""
    columns = {name: _numbers(taken.rows.narrow[:, k]) for k, name in enumerate(layout.narrow)}
    columns |= {name: _numbers(taken.rows.wide[:, k]) for k, name in enumerate(layout.wide)}
    told = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    return Samples(tuple(taken.rows.t.tolist()), told, taken.is_truncated)


def _numbers(column: Any) -> tuple[float | None, ...]:
    """The shortest numbers that keep the precision; what is not finite is absent."""
    return tuple(orjson.loads(orjson.dumps(column.copy(), option=orjson.OPT_SERIALIZE_NUMPY)))
