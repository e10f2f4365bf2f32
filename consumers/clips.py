"""The raw rows around an anomaly: a short tape of the last ones, and the clip that an anomaly takes of it.  Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from consumers.timeline import Layout, Rows
from telemetry.anomaly import Samples

CLIPS_MAX = 4  # of the largest size, a stream: what more would need is left out and said


@dataclass(slots=True, eq=False)
class Clip:
    """Rows from before the start until `until_at` of the stream's time, or its clock's step back.

    `room` more rows may come.
    """

    rows: Rows
    until_at: int
    epoch: int
    room: int
    is_complete: bool
    is_truncated: bool

    def take(self, rows: Rows) -> None:
        """The stream went on with these."""
        if self.is_complete:
            return
        wanted = int(min(rows.at.searchsorted(self.until_at, "right"), rows.epoch.searchsorted(self.epoch, "right")))
        taken = min(wanted, self.room)
        if taken:
            self.rows = self.rows.joined(rows.cut(0, taken))
        self.room -= taken
        self.is_truncated = self.is_truncated or taken < wanted
        self.is_complete = wanted < len(rows) or not self.room


class Tape:
    """The last rows: at most `rows_max`, and none older than `span_ns`; joined only when somebody looks."""

    def __init__(self, rows_max: int, span_ns: int, held: Rows) -> None:
        self._rows_max = rows_max
        self._span_ns = span_ns
        self._pieces = [held]
        self._count = len(held)

    def wind(self, rows: Rows) -> None:
        """The stream went on."""
        if not len(rows):
            return
        piece = rows if len(rows) <= self._rows_max else rows.cut(len(rows) - self._rows_max, len(rows))
        self._pieces.append(piece)
        self._count += len(piece)
        oldest_at = int(rows.at[-1]) - self._span_ns
        while len(self._pieces) > 1 and self._is_spare(self._pieces[0], oldest_at):
            self._count -= len(self._pieces.pop(0))

    def rows(self) -> Rows:
        """What it holds."""
        joined = self._pieces[0].joined(*self._pieces[1:])
        if len(joined):
            oldest = int(joined.at.searchsorted(int(joined.at[-1]) - self._span_ns))
            joined = joined.cut(max(oldest, len(joined) - self._rows_max), len(joined))
        self._pieces, self._count = [joined], len(joined)
        return joined

    @property
    def size_bytes(self) -> int:
        """What the arrays hold."""
        return sum(piece.size_bytes for piece in self._pieces)

    def _is_spare(self, piece: Rows, oldest_at: int) -> bool:
        return not len(piece) or self._count - len(piece) >= self._rows_max or int(piece.at[-1]) < oldest_at


def clip(rows: Rows, found: int, since_at: int, samples_ns: int, rows_max: int) -> Clip:
    """Of `rows`, one of which (`found`) opened an anomaly that began at `since_at`, at most `samples_ns` before it.

    A tape that holds one row more than `rows_before` shows whether that was enough.
    """
    before_max = rows_before(rows_max)
    wanted = int(rows.at.searchsorted(since_at - samples_ns))
    begin = max(wanted, found - before_max)
    until_at = max(since_at + samples_ns, int(rows.at[found]))
    epoch = int(rows.epoch[found])
    taken = Clip(
        rows.cut(begin, found),
        until_at,
        epoch,
        rows_max - (found - begin),
        is_complete=False,
        is_truncated=begin > wanted,
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
