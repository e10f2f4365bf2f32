"""The embedded store: DuckDB, one file, one process; the end of the journey where no server runs.

Delivery: exactly once.  Claim and rows are one transaction, fsync'd in DuckDB's write-ahead log before `write` returns.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from telemetry.anomaly import Anomaly, Asked
from telemetry.errors import StoreUnavailable
from telemetry.failpoints import passing
from telemetry.outcome import Reason
from telemetry.ports import Claim, Counts, Detail, DeviceSeen, Item, Latest, Session, Span, Store, Written
from telemetry.stores import _duck_anomalies as anomaly_rows
from telemetry.stores import _duck_latest as latest_rows
from telemetry.stores import _duck_query as query
from telemetry.stores import _duck_schema, _duck_upkeep, _duck_write
from telemetry.stores import _duck_windows as window_rows
from telemetry.stores._buckets import bounds
from telemetry.stores._days import day_start_ns
from telemetry.stores._duck_config import Config
from telemetry.stores._lanes import Lane
from telemetry.stores._tables import PIECE_ROWS_MAX
from telemetry.window import Windows

__all__ = ["Config", "DuckdbStore", "open"]

T = TypeVar("T")
FILE = "store.duckdb"
STREAMS_KNOWN_MAX = 100_000  # numbers of (device, session) remembered, some 20 MB
DAY_ROWS_FOLD = 50_000  # deltas of `days` before they are folded
# What says that the database must be opened anew, whatever caused it (a full disk while committing, say).
_FATAL = (duckdb.FatalException, duckdb.InternalException, duckdb.ConnectionException)
# What says that a document, and not the store, is at fault.
_REFUSED = (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, OverflowError, duckdb.DataError)


class DuckdbStore:
    """One connection that writes, in a thread of its own, and a cursor for each question."""

    def __init__(self, config: Config, path: Path, *, retention_days: int, detail: Detail = "samples") -> None:
        self._config = config
        self._path = path
        self._rules = _duck_write.Rules(retention_days, detail)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._is_broken = False
        self._streams: _duck_write.Streams = {}
        self._totals = _duck_upkeep.Totals(0, 0, set(), 0)
        self._fold_at = DAY_ROWS_FOLD
        self._writer: Lane | None = None
        self._readers: Lane | None = None

    async def start(self) -> None:
        """See `Store`; raises `Misconfigured` when the file's columns contradict the catalogue."""
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer, self._readers = Lane("store's writer", 1), Lane("store's readers", self._config.readers)
            try:
                await self._writer.call(self._connect, _nothing, self._config.upkeep_deadline_s)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """See `Store`; checkpoints, so that the next start is quick."""
        writer, readers, self._writer, self._readers = self._writer, self._readers, None, None
        if writer is not None and readers is not None:
            await asyncio.to_thread(readers.close)
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(self._disconnect)

    async def write(self, items: Sequence[Item]) -> list[Written]:
        """See `Store`."""
        if not items:
            return []
        return await self._change(lambda: self._write(items), self._config.write_deadline_s)

    async def put_sessions(self, sessions: Sequence[Session]) -> None:
        """See `Store`."""
        await self._put(lambda c: query.put_sessions(c, sessions), sessions)

    async def get_sessions(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Session]:
        """See `Store`."""
        found = await self._ask(lambda c: query.get_sessions(c, keys))
        return {(s.device, s.session): s for s in found}

    async def completeness(self, device: str | None = None, session: str | None = None) -> list[Session]:
        """See `Store`."""
        return await self._ask(lambda c: query.completeness(c, device, session))

    async def claims(self, device: str, session: str | None = None) -> list[Claim]:
        """See `Store`."""
        return await self._ask(lambda c: query.claims(c, device, session))

    async def counts(self) -> Counts:
        """See `Store`; kept in memory, of what is committed."""
        self._lane(self._readers)
        totals = self._totals
        return Counts(totals.readings, totals.batches, len(totals.devices))

    async def devices(self) -> list[DeviceSeen]:
        """See `Store`."""
        return await self._ask(query.devices)

    async def readings(self, span: Span, *, limit: int) -> pa.Table:
        """See `Store`."""
        return await self._ask(lambda c: query.readings(c, span, limit))

    async def envelope(self, span: Span, *, points: int) -> pa.Table:
        """See `Store`."""
        return await self._ask(lambda c: query.envelope(c, span, points))

    async def latest(self, sensors: Sequence[str], *, from_ns: int) -> list[Latest]:
        """See `Store`."""
        return await self._ask(lambda c: latest_rows.latest(c, sensors, from_ns))

    async def export(
        self,
        device: str,
        *,
        session: str | None = None,
        sensor: str | None = None,
        from_ns: int = 0,
        to_ns: int = 2**63 - 1,
    ) -> AsyncIterator[tuple[str, pa.Table]]:
        """See `Store`; every piece is a question of its own, so a slow reader holds no transaction open."""
        between = bounds(from_ns, to_ns)
        for name, _session, stream, held in await self._ask(lambda c: query.holdings(c, device, session, sensor)):
            ranges = [(0, 2**63 - 1)]
            if held > PIECE_ROWS_MAX:
                ranges = await self._ask(lambda c: query.cuts(c, name, stream, between))  # noqa: B023 - awaited here
            for seqs in ranges:
                table = await self._ask(lambda c: query.piece(c, name, stream, seqs, between))  # noqa: B023
                if table.num_rows:
                    yield name, table

    async def put_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """See `Store`."""
        await self._put(lambda c: anomaly_rows.put(c, anomalies), anomalies)

    async def anomalies(self, asked: Asked) -> list[Anomaly]:
        """See `Store`."""
        return await self._ask(lambda c: anomaly_rows.listed(c, asked))

    async def anomaly(self, id_: str) -> Anomaly | None:
        """See `Store`."""
        return await self._ask(lambda c: anomaly_rows.one(c, id_))

    async def put_windows(self, windows: Sequence[Windows]) -> None:
        """See `Store`."""
        await self._put(lambda c: window_rows.put(c, windows), windows)

    async def windows(self, span: Span, *, kind: str, width_ns: int, limit: int) -> pa.Table:
        """See `Store`."""
        return await self._ask(lambda c: window_rows.listed(c, span, kind, width_ns, limit))

    async def delete_device(self, device: str) -> int:
        """See `Store`."""
        return await self._upkeep(lambda c: _duck_upkeep.delete_device(c, device))

    async def prune(self, *, before_ns: int) -> int:
        """See `Store`."""
        return await self._upkeep(lambda c: _duck_upkeep.prune(c, day_start_ns(before_ns)))

    # --- on the loop ------------------------------------------------------------------------------------------

    async def _put(self, put: Callable[[duckdb.DuckDBPyConnection], None], what: Sequence[object]) -> None:
        if what:
            await self._change(self._transaction(put), self._config.write_deadline_s)

    async def _change(self, work: Callable[[], T], deadline_s: float) -> T:
        return await self._lane(self._writer).call(self._translated(work), self._interrupt, deadline_s)

    async def _ask(self, question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        lane = self._lane(self._readers)
        if self._connection is None or self._is_broken:
            raise StoreUnavailable("the store is being opened again after an error", retry_after_s=1.0)
        try:
            cursor = self._connection.cursor()
        except duckdb.Error as e:
            raise StoreUnavailable(f"DuckDB: {e}") from e

        def ask() -> T:
            with cursor:
                return question(cursor)

        return await lane.call(self._translated(ask), cursor.interrupt, self._config.query_deadline_s)

    async def _upkeep(self, remove: Callable[[duckdb.DuckDBPyConnection], int]) -> int:
        def work() -> int:
            removed = self._transaction(remove)()
            self._streams.clear()
            self._totals = _duck_upkeep.totals(self._open_connection())
            return removed

        return await self._change(work, self._config.upkeep_deadline_s)

    def _lane(self, lane: Lane | None) -> Lane:
        if lane is None:
            raise StoreUnavailable("the store is not started")
        return lane

    def _interrupt(self) -> None:
        if self._connection is not None:
            self._connection.interrupt()

    # --- in the writer's thread -------------------------------------------------------------------------------

    def _write(self, items: Sequence[Item]) -> list[Written]:
        """All in one transaction; when a document cannot be stored, one by one, and that one is refused."""
        try:
            change = self._transaction(lambda c: self._write_rows(c, items))()
        except _REFUSED as e:
            if len(items) > 1:
                return [written for item in items for written in self._write([item])]
            detail = f"{type(e).__name__}: {e}"[:500]
            return [Written(dead_lettered=items[0].batch.readings, reason=Reason.STORE_REFUSED, detail=detail)]
        passing("store.after_commit")
        self._remember(change)
        return change.written

    def _write_rows(self, connection: duckdb.DuckDBPyConnection, items: Sequence[Item]) -> _duck_write.Change:
        change = _duck_write.write(connection, items, self._streams, self._rules)
        passing("store.before_commit")
        return change

    def _remember(self, change: _duck_write.Change) -> None:
        """Only what is committed is counted."""
        if len(self._streams) + len(change.streams) > STREAMS_KNOWN_MAX:
            self._streams.clear()
        self._streams |= change.streams
        was = self._totals
        devices = was.devices | change.devices if change.devices - was.devices else was.devices
        self._totals = _duck_upkeep.Totals(
            was.readings + change.readings, was.batches + change.batches, devices, was.day_rows + change.day_rows
        )
        if self._totals.day_rows > self._fold_at:
            self._transaction(_duck_upkeep.fold_days)()
            self._load()

    def _transaction(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> Callable[[], T]:
        def run() -> T:
            connection = self._open_connection()
            connection.execute("BEGIN")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
            return result

        return run

    def _roll_back(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            pass  # a COMMIT that failed has rolled back by itself
        except duckdb.Error:
            self._is_broken = True  # the first error is the one to tell; this connection is not to be trusted

    def _open_connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, made anew after an error that leaves DuckDB unusable."""
        if self._connection is not None and not self._is_broken:
            return self._connection
        self._disconnect()
        return self._connect()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": self._config.threads,
            "memory_limit": self._config.memory_limit,
            "checkpoint_threshold": f"{self._config.checkpoint_bytes}B",
            "autoinstall_known_extensions": False,  # nothing is fetched
            "autoload_known_extensions": False,
        }
        try:
            self._connection = connection = duckdb.connect(str(self._path), config=settings)
            self._is_broken = False
            self._transaction(_duck_schema.migrate)()
            self._load()
        except duckdb.Error as e:
            self._is_broken = True
            raise StoreUnavailable(f"{self._path.name} cannot be opened: {e}") from e
        return connection

    def _load(self) -> None:
        self._streams.clear()
        self._totals = _duck_upkeep.totals(self._open_connection())
        self._fold_at = 2 * self._totals.day_rows + DAY_ROWS_FOLD

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except duckdb.Error:
                self._is_broken = True  # it was unusable before; what is committed stands in its log

    def _translated(self, work: Callable[[], T]) -> Callable[[], T]:
        """Every error of DuckDB becomes ours: none of them is a document's fault here."""

        def run() -> T:
            try:
                return work()
            except duckdb.Error as e:
                self._is_broken = self._is_broken or isinstance(e, _FATAL)
                raise StoreUnavailable(f"DuckDB: {type(e).__name__}: {e}", retry_after_s=1.0) from e

        return run


def open(  # noqa: A001 - the port's word
    config: Config, data_dir: Path, *, retention_days: int, detail: Detail = "samples"
) -> Store:
    """The store over `data_dir/store.duckdb`, made if it is not there."""
    return DuckdbStore(config, data_dir / FILE, retention_days=retention_days, detail=detail)


def _nothing() -> None:
    """An opening is not interrupted: it replays the write-ahead log."""
