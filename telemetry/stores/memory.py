"""The store in memory: the reference that the others are held against, and the one the seeded simulation runs on.

Delivery: idempotent; nothing outlives the process.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from telemetry.anomaly import Anomaly, Asked
from telemetry.batch import BatchId
from telemetry.errors import StoreUnavailable
from telemetry.outcome import Reason
from telemetry.ports import Claim, Counts, Detail, DeviceSeen, Item, Latest, Session, Span, Store, Written
from telemetry.stores._buckets import bounds, buckets
from telemetry.stores._days import day_start_ns, oldest_kept_ns
from telemetry.stores._latest import in_order, latest_of
from telemetry.stores._memory_findings import Findings
from telemetry.stores._rows import Rows, envelope_of, table_of
from telemetry.stores._tables import PIECE_ROWS_MAX
from telemetry.window import Windows

SESSIONS_LISTED_MAX = 10_000


class Config(BaseModel):
    """No settings."""

    model_config = ConfigDict(strict=True, extra="forbid")


class MemoryStore:
    """Dictionaries by identity."""

    def __init__(self, *, retention_days: int, detail: Detail = "samples") -> None:
        self._retention_days = retention_days
        self._detail = detail
        self._summarised_until: dict[BatchId, int] = {}  # event time of a batch's last reading
        self._claims: dict[BatchId, Claim] = {}
        self._rows: defaultdict[str, defaultdict[str, list[Rows]]] = defaultdict(lambda: defaultdict(list))
        self._sessions: dict[tuple[str, str], Session] = {}
        self._findings = Findings()
        self._readings = 0
        self._is_open = False

    async def start(self) -> None:
        """See `Store`."""
        self._is_open = True

    async def close(self) -> None:
        """See `Store`; what was written can be read again after `start`."""
        self._is_open = False

    async def write(self, items: Sequence[Item]) -> list[Written]:
        """See `Store`."""
        self._check_open()
        return [self._write(item) for item in items]

    async def put_sessions(self, sessions: Sequence[Session]) -> None:
        """See `Store`."""
        self._check_open()
        for session in sessions:
            key = (session.device, session.session)
            kept = self._sessions.get(key)
            if kept is None or session.next_offset >= kept.next_offset:
                self._sessions[key] = session

    async def get_sessions(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Session]:
        """See `Store`."""
        self._check_open()
        return {key: self._sessions[key] for key in keys if key in self._sessions}

    async def completeness(self, device: str | None = None, session: str | None = None) -> list[Session]:
        """See `Store`."""
        self._check_open()
        asked = [s for s in self._sessions.values() if device in (None, s.device) and session in (None, s.session)]
        asked.sort(key=lambda s: (-s.last_received_ns, s.device, s.session))
        return asked[:SESSIONS_LISTED_MAX]

    async def claims(self, device: str, session: str | None = None) -> list[Claim]:
        """See `Store`."""
        self._check_open()
        return [
            claim
            for id_, claim in sorted(self._claims.items())
            if id_.device == device and session in (None, id_.session)
        ]

    async def counts(self) -> Counts:
        """See `Store`."""
        self._check_open()
        return Counts(self._readings, len(self._claims), len(self._rows))

    async def devices(self) -> list[DeviceSeen]:
        """See `Store`."""
        self._check_open()
        return [self._seen(device) for device in sorted(self._rows)]

    async def readings(self, span: Span, *, limit: int) -> pa.Table:
        """See `Store`."""
        return table_of(span.sensor, self._between(span), by_time=True, limit=limit)

    async def envelope(self, span: Span, *, points: int) -> pa.Table:
        """See `Store`."""
        origin_ns, width_ns = buckets(span, points)
        return envelope_of(span.sensor, self._between(span), origin_ns, width_ns)

    async def latest(self, sensors: Sequence[str], *, from_ns: int) -> list[Latest]:
        """See `Store`."""
        self._check_open()
        asked = ((device, sensor) for device in self._rows for sensor in set(sensors) if sensor in self._rows[device])
        found = (self._latest(device, sensor, from_ns) for device, sensor in asked)
        return in_order(one for one in found if one is not None)

    async def export(
        self,
        device: str,
        *,
        session: str | None = None,
        sensor: str | None = None,
        from_ns: int = 0,
        to_ns: int = 2**63 - 1,
    ) -> AsyncIterator[tuple[str, pa.Table]]:
        """See `Store`."""
        self._check_open()
        for name in sorted(self._rows.get(device, ())):
            if sensor not in (None, name):
                continue
            of_session = (r for r in self._rows[device][name] if session in (None, r.session))
            rows = [r.between(*bounds(from_ns, to_ns)) for r in of_session]
            for piece in _pieces(sorted(rows, key=lambda r: (r.session, r.seq, r.ordinal))):
                yield name, table_of(name, piece, by_time=False)

    async def put_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """See `Store`."""
        self._check_open()
        self._findings.put_anomalies(anomalies)

    async def anomalies(self, asked: Asked) -> list[Anomaly]:
        """See `Store`."""
        self._check_open()
        return self._findings.anomalies(asked)

    async def anomaly(self, id_: str) -> Anomaly | None:
        """See `Store`."""
        self._check_open()
        return self._findings.anomaly(id_)

    async def put_windows(self, windows: Sequence[Windows]) -> None:
        """See `Store`."""
        self._check_open()
        self._findings.put_windows(windows)

    async def windows(self, span: Span, *, kind: str, width_ns: int, limit: int) -> pa.Table:
        """See `Store`."""
        self._check_open()
        return self._findings.windows(span, kind, width_ns, limit)

    async def delete_device(self, device: str) -> int:
        """See `Store`."""
        self._check_open()
        self._findings.delete_device(device)
        removed = sum(len(r) for rows in self._rows.pop(device, {}).values() for r in rows)
        self._readings -= removed
        self._claims = {id_: claim for id_, claim in self._claims.items() if id_.device != device}
        self._summarised_until = {id_: t for id_, t in self._summarised_until.items() if id_.device != device}
        self._sessions = {key: kept for key, kept in self._sessions.items() if key[0] != device}
        return removed

    async def prune(self, *, before_ns: int) -> int:
        """See `Store`."""
        self._check_open()
        cut_ns, had = day_start_ns(before_ns), self._readings
        self._findings.prune(cut_ns)
        for device in list(self._rows):
            for sensor, rows in list(self._rows[device].items()):
                kept = [part for r in rows if len(part := r.where(r.series.t >= cut_ns))]
                self._readings -= sum(map(len, rows)) - sum(map(len, kept))
                self._rows[device][sensor] = kept
                if not kept:
                    del self._rows[device][sensor]
            if not self._rows[device]:
                del self._rows[device]
        self._forget_claims(cut_ns)
        return had - self._readings

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("the store is not started")

    def _write(self, item: Item) -> Written:
        batch = item.batch
        kept = self._claims.get(batch.id)
        if kept is not None and kept.content_hash == item.content_hash:
            return Written(duplicate=batch.readings)
        if kept is not None:
            detail = f"claimed with hash {kept.content_hash}, this is {item.content_hash}"
            return Written(dead_lettered=batch.readings, reason=Reason.CONFLICT, detail=detail)
        if self._detail == "windows":
            return self._summarise(item)
        oldest_ns, stored = oldest_kept_ns(item.received_ns, self._retention_days), 0
        for ordinal, series in enumerate(batch.series):
            rows = Rows(batch.session, batch.seq, ordinal, np.arange(len(series), dtype=np.int32), series)
            rows = rows.where(series.t >= oldest_ns)
            if len(rows):
                self._rows[batch.device][series.sensor].append(rows)
                stored += len(rows)
        expired = batch.readings - stored
        self._claims[batch.id] = Claim(batch.id, item.content_hash, item.received_ns, batch.readings, expired)
        self._readings += stored
        return Written(stored=stored, expired=expired)

    def _summarise(self, item: Item) -> Written:
        batch, oldest_ns = item.batch, oldest_kept_ns(item.received_ns, self._retention_days)
        kept = [int(t) for series in batch.series for t in series.t[series.t >= oldest_ns]]
        if kept:
            self._summarised_until[batch.id] = max(kept)
        expired = batch.readings - len(kept)
        claim = Claim(batch.id, item.content_hash, item.received_ns, batch.readings, expired, len(kept))
        self._claims[batch.id] = claim
        return Written(summarised=len(kept), expired=expired)

    def _between(self, span: Span) -> list[Rows]:
        self._check_open()
        rows = self._rows[span.device][span.sensor] if span.sensor in self._rows.get(span.device, ()) else []
        first_ns, last_ns = bounds(span.from_ns, span.to_ns)
        return [r.between(first_ns, last_ns) for r in rows]

    def _latest(self, device: str, sensor: str, from_ns: int) -> Latest | None:
        ends = (
            ((int(r.series.t[at]), r.session, r.seq, r.ordinal, int(r.i[at])), r, at)
            for r in self._rows[device][sensor]
            for at in np.flatnonzero(r.series.t == r.series.t.max())
        )
        best = max(ends, key=lambda end: end[0], default=None)
        if best is None or best[0][0] < from_ns:
            return None
        (t_ns, *_), rows, at = best
        return latest_of(device, sensor, t_ns, {name: column[at] for name, column in rows.series.values.items()})

    def _seen(self, device: str) -> DeviceSeen:
        parts = [r for rows in self._rows[device].values() for r in rows]
        first_ns = min(int(r.series.t.min()) for r in parts)
        last_ns = max(int(r.series.t.max()) for r in parts)
        return DeviceSeen(device, first_ns, last_ns, sum(map(len, parts)), tuple(sorted(self._rows[device])))

    def _forget_claims(self, cut_ns: int) -> None:
        """A claim goes with its last row, unless its batch came after the cut: a resend must still find it."""
        held = {
            BatchId(device, r.session, r.seq)
            for device, sensors in self._rows.items()
            for rows in sensors.values()
            for r in rows
        }
        held |= {id_ for id_, last_ns in self._summarised_until.items() if last_ns >= cut_ns}
        self._claims = {id_: c for id_, c in self._claims.items() if c.received_ns >= cut_ns or id_ in held}
        self._summarised_until = {id_: t for id_, t in self._summarised_until.items() if id_ in self._claims}


def open(  # noqa: A001 - the port's word
    config: Config, data_dir: Path, *, retention_days: int, detail: Detail = "samples"
) -> Store:
    """A new, empty store; nothing is written to `data_dir`."""
    return MemoryStore(retention_days=retention_days, detail=detail)


def _pieces(rows: Iterable[Rows]) -> Iterable[list[Rows]]:
    """Cut so that no piece is over the limit, unless one series alone is."""
    piece: list[Rows] = []
    held = 0
    for r in rows:
        if piece and held + len(r) > PIECE_ROWS_MAX:
            yield piece
            piece, held = [], 0
        if len(r):
            piece.append(r)
            held += len(r)
    if piece:
        yield piece
