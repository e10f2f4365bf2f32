"""Several recordings at once, in order of time: chunks of each are held, and slices of all are given out.

Memory is one chunk a recording whose time has come; the others are closed until then.  Within a recording its own order
stays, also where its times go back.
"""

import heapq
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edge.batcher import part
from edge.cleaning.clean import Cleaned
from edge.sources import Bad
from telemetry.batch import Series, Times

CHUNK_ROWS = 1024  # as text they take a third of a kilobyte each
PEEK_ROWS = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `count` rows of a recording; rows are numbered from 0 in the chunk."""

    count: int
    cleaned: Cleaned


class Stream(Protocol):
    """One recording: a file, or one sensor's part of it."""

    @property
    def file(self) -> str:
        """The file's name as the cursor has it."""
        ...

    @property
    def name(self) -> str:
        """The part's name in its file, "" when it is the whole."""
        ...

    def chunks(self, skip: int, chunk_rows: int) -> Generator[Chunk]:
        """What comes after the first `skip` rows.  Blocking; lets the file go when it is closed or at the end.

        Raises `SourceFailed`, `OSError`, `Misconfigured`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Slice:
    """Readings of all recordings from `begin_ns` to `end_ns` (device time), and the bad rows between them.

    `positions`: (file, name) -> rows that are done when this slice is.
    """

    begin_ns: int
    end_ns: int
    series: tuple[Series, ...]
    bad: tuple[Bad, ...]
    positions: dict[tuple[str, str], int]


def merged(streams: Sequence[Stream], done: Callable[[Stream], int], width_ns: int | None = None) -> Generator[Slice]:
    """Slices of at most `width_ns` (None: as large as the chunks allow) until the recordings end."""
    waiting = [(first, k, s) for k, s in enumerate(streams) if (first := _first_ns(s, done(s))) is not None]
    heapq.heapify(waiting)
    heads: list[_Head] = []
    try:
        while waiting or heads:
            begin = min([h.next_ns for h in heads] + [w[0] for w in waiting[:1]])
            while waiting and waiting[0][0] <= begin:
                heads.append(_Head(waiting[0][2], done(waiting[0][2])))
                heapq.heappop(waiting)
            heads = [h for h in heads if h.fill()]
            if heads:
                yield _slice(heads, begin, width_ns, waiting[0][0] if waiting else None)
                heads = [h for h in heads if h.fill()]
    finally:
        for head in heads:
            head.close()


def _slice(heads: "list[_Head]", begin: int, width_ns: int | None, next_ns: int | None) -> Slice:
    end = min(h.known_until_ns for h in heads)
    if next_ns is not None:
        end = min(end, max(next_ns - 1, begin))
    if width_ns is not None:
        end = min(end, begin + width_ns)
    series: list[Series] = []
    bad: list[Bad] = []
    for head in heads:
        taken, wrong = head.take(end)
        series += taken
        bad += wrong
    return Slice(begin, end, tuple(series), tuple(bad), {(h.stream.file, h.stream.name): h.done for h in heads})


def _first_ns(stream: Stream, skip: int) -> int | None:
    """When the recording comes to its turn; None when nothing is left of it."""
    with _Head(stream, skip, PEEK_ROWS) as head:
        return head.next_ns if head.fill() else None


@dataclass(slots=True)
class _Head:
    """Where a recording stands.  `_release[k]`: row k goes out with this time, at the latest of all before it."""

    stream: Stream
    done: int
    chunk_rows: int = CHUNK_ROWS
    _chunks: Generator[Chunk] | None = None
    _chunk: Chunk | None = None
    _at: int = 0
    _release: Times = field(default_factory=lambda: np.empty(0, np.int64))
    _latest_ns: int = 0

    def __enter__(self) -> "_Head":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fill(self) -> bool:
        """False at the recording's end; else there is at least a row."""
        while self._chunk is None or self._at >= self._chunk.count:
            if self._chunks is None:
                self._chunks = self.stream.chunks(self.done, self.chunk_rows)
            self._chunk = next(self._chunks, None)
            if self._chunk is None:
                return False
            self._at = 0
            self._release = self._released(self._chunk)
        return True

    def close(self) -> None:
        """Let the file go."""
        if self._chunks is not None:
            self._chunks.close()

    @property
    def next_ns(self) -> int:
        """The time of the next row."""
        return int(self._release[self._at])

    @property
    def known_until_ns(self) -> int:
        """The chunk's last; what comes after is later."""
        return int(self._release[-1])

    def take(self, end_ns: int) -> tuple[list[Series], list[Bad]]:
        """All rows up to this time."""
        if self._chunk is None:
            return [], []
        start, stop = self._at, int(np.searchsorted(self._release, end_ns, side="right"))
        stop = max(start, stop)
        self._at = stop
        self.done += stop - start
        cleaned = self._chunk.cleaned
        series = []
        for one, rows in zip(cleaned.series, cleaned.rows, strict=True):
            first, last = np.searchsorted(rows, (start, stop)).tolist()
            if first < last:
                series.append(one if last - first == len(one) else part(one, first, last))
        first, last = np.searchsorted(cleaned.bad_rows, (start, stop)).tolist()
        return series, list(cleaned.bad[first:last])

    def _released(self, chunk: Chunk) -> Times:
        """A bad row goes with the one before it, at the beginning with the first good one."""
        first = min((int(one.t[0]) for one in chunk.cleaned.series), default=0)
        times = np.full(chunk.count, self._latest_ns or first, np.int64)
        for one, rows in zip(chunk.cleaned.series, chunk.cleaned.rows, strict=True):
            times[rows] = np.maximum(times[rows], one.t)
        release = np.maximum.accumulate(times)
        self._latest_ns = int(release[-1]) if len(release) else self._latest_ns
        return release
