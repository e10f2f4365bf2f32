"""One write into DuckDB: claims, rows of the new claims and their days, all inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from telemetry.errors import StoreUnavailable
from telemetry.outcome import Reason
from telemetry.ports import Detail, Item, Written
from telemetry.stores._days import oldest_kept_ns
from telemetry.stores._duck_columns import Placed, SensorColumns, columns_of
from telemetry.stores._duck_schema import OTHER, Cursor, insert, table_of

Streams = dict[tuple[str, str], int]
Key = tuple[int, int]  # stream, seq

_DAYS = pa.schema(
    [
        ("stream", pa.int32()),
        ("sensor", pa.string()),
        *((name, pa.int64()) for name in ("day_ns", "readings", "first_ns", "last_ns")),
    ]
)
_CLAIM = "INSERT INTO claims SELECT * FROM incoming ON CONFLICT DO NOTHING RETURNING stream, seq"
_KEPT = "SELECT c.stream, c.seq, c.hash FROM claims c JOIN incoming i ON c.stream = i.stream AND c.seq = i.seq"


@dataclass
class Change:
    """What a transaction did, to be remembered once it is committed."""

    written: list[Written] = field(default_factory=list)
    streams: Streams = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)
    batches: int = 0
    readings: int = 0
    day_rows: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept of a batch: nothing older, and with the detail `windows` no row at all."""

    retention_days: int
    detail: Detail

    @property
    def has_rows(self) -> bool:
        """Whether readings are stored one by one."""
        return self.detail == "samples"


def write(cursor: Cursor, items: Sequence[Item], known: Streams, rules: Rules) -> Change:
    """Store what is new of the items.  A claim that exists has its rows, since both are one transaction."""
    change = Change(streams=_streams(cursor, items, known))
    keys = [_key(item, known, change.streams) for item in items]
    firsts: dict[Key, Item] = {}
    for key, item in zip(keys, items, strict=True):
        firsts.setdefault(key, item)
    placed = [Placed(i, key[0], oldest_kept_ns(i.received_ns, rules.retention_days)) for key, i in firsts.items()]
    columns = columns_of(placed)
    kept_readings, claims = _claims(placed, columns, rules)
    new = set(_claim(cursor, claims))
    if rules.has_rows:
        if len(new) < len(placed):
            placed = [p for p in placed if (p.stream, p.item.batch.seq) in new]
            columns = columns_of(placed)
        _insert_rows(cursor, placed, columns, change)
    kept = {key: item.content_hash for key, item in firsts.items()} | _kept(cursor, firsts.keys() - new)
    counts = dict(zip(firsts, kept_readings.tolist(), strict=True))
    for key, item in zip(keys, items, strict=True):
        is_first = key in new and firsts[key] is item
        change.written.append(_accepted(item, counts[key], rules) if is_first else _repeated(item, kept[key]))
    change.batches = len(new)
    change.readings = sum(w.stored for w in change.written)
    if rules.has_rows:
        change.devices = {p.item.batch.device for p in placed if counts[p.stream, p.item.batch.seq]}
    return change


def _streams(cursor: Cursor, items: Sequence[Item], known: Streams) -> Streams:
    """The numbers of the streams not yet known, made where there is none."""
    wanted = {(item.batch.device, item.batch.session) for item in items} - known.keys()
    if not wanted:
        return {}
    incoming = pa.table({"device": [d for d, _ in wanted], "session": [s for _, s in wanted]})
    found: Streams = {}
    for statement in (
        "SELECT s.device, s.session, s.stream FROM streams s JOIN incoming USING (device, session)",
        """INSERT INTO streams SELECT nextval('stream_ids'), device, session FROM incoming
           ANTI JOIN streams USING (device, session) RETURNING device, session, stream""",
    ):
        found |= {(d, s): n for d, s, n in cursor.execute(statement).fetchall()}
        if len(found) == incoming.num_rows:
            break
    return found


def _key(item: Item, known: Streams, fresh: Streams) -> Key:
    stream = (item.batch.device, item.batch.session)
    return (known[stream] if stream in known else fresh[stream]), item.batch.seq


def _claims(placed: Sequence[Placed], columns: Sequence[SensorColumns], rules: Rules) -> tuple[np.ndarray, pa.Table]:
    """By item the readings that are not expired, and the claims."""
    n = len(placed)
    stored, last = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    for sensor in columns:
        count, until = sensor.stored(n)
        stored, last = stored + count, np.maximum(last, until)
    items = [p.item for p in placed]
    readings = np.array([i.batch.readings for i in items], np.int64)
    claims = pa.table(
        {
            "stream": pa.array([p.stream for p in placed], pa.int32()),
            "seq": pa.array([i.batch.seq for i in items], pa.int64()),
            "hash": pa.array([i.content_hash for i in items], pa.string()),
            "received_ns": pa.array([i.received_ns for i in items], pa.int64()),
            "readings": readings,
            "expired": readings - stored,
            "log_partition": pa.array([i.partition for i in items], pa.int32()),
            "log_offset": pa.array([i.offset for i in items], pa.int64()),
            "last_ns": pa.array(last, mask=stored == 0),
            "summarised": np.zeros(n, np.int64) if rules.has_rows else stored,
        }
    )
    return stored, claims


def _claim(cursor: Cursor, incoming: pa.Table) -> list[Key]:
    """Those that were not claimed before."""
    new: list[Key] = cursor.execute(_CLAIM).fetchall() if incoming.num_rows else []
    return new


def _kept(cursor: Cursor, keys: set[Key]) -> dict[Key, str]:
    """The hashes under which these were claimed before."""
    if not keys:
        return {}
    incoming = pa.table({"stream": [s for s, _ in keys], "seq": [q for _, q in keys]})
    kept = {(stream, seq): text for stream, seq, text in cursor.execute(_KEPT).fetchall()}
    if kept.keys() != keys or incoming.num_rows != len(keys):
        # DuckDB's index may still hold a claim that was just pruned, while an older reader can see it
        raise StoreUnavailable("a claim is neither new nor there: the store is being pruned")
    return kept


def _insert_rows(cursor: Cursor, placed: Sequence[Placed], columns: Sequence[SensorColumns], change: Change) -> None:
    days: list[tuple[int, str, int, int, int, int]] = []
    for sensor in columns:
        table = sensor.table(placed)
        if not table.num_rows:
            continue
        name = table_of(sensor.sensor)
        if name == OTHER:
            table = table.append_column("sensor", pa.repeat(pa.scalar(sensor.sensor), table.num_rows))
        insert(cursor, name, table)
        days += sensor.days(placed)
    if days:
        columns_of_days = zip(*days, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns_of_days, _DAYS, strict=True)]
        insert(cursor, "days", pa.Table.from_arrays(arrays, schema=_DAYS))
    change.day_rows = len(days)


def _accepted(item: Item, kept: int, rules: Rules) -> Written:
    expired = item.batch.readings - kept
    return Written(stored=kept, expired=expired) if rules.has_rows else Written(summarised=kept, expired=expired)


def _repeated(item: Item, kept: str) -> Written:
    n = item.batch.readings
    if item.content_hash == kept:
        return Written(duplicate=n)
    detail = f"claimed with hash {kept}, this is {item.content_hash}"
    return Written(dead_lettered=n, reason=Reason.CONFLICT, detail=detail)
