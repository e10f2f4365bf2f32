"""Where states lie that are not in memory: a local file, a row a device, with the time at which each wants to be asked.

A cache of the `checkpoints` topic, made anew at each start: SQLite puts it into a temporary file without a name, so
that no crash leaves anything behind, and it needs no durability.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = "part, device, next, received_ns, due_ns, value"
SCHEMA = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; PRAGMA temp_store = FILE;
    CREATE TABLE states (
        part INTEGER NOT NULL, device TEXT NOT NULL, next INTEGER NOT NULL, received_ns INTEGER NOT NULL,
        due_ns INTEGER, value BLOB NOT NULL, PRIMARY KEY (part, device)) WITHOUT ROWID;
    CREATE INDEX dues ON states (part, due_ns) WHERE due_ns IS NOT NULL
"""
PUT = (
    f"INSERT INTO states ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (part, device) DO UPDATE SET "  # noqa: S608
    "next = excluded.next, received_ns = excluded.received_ns, due_ns = excluded.due_ns, value = excluded.value "
    "WHERE excluded.next >= states.next"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A device's state as bytes.  `next_offset`: every record of its partition below is in it; `due_ns`: when its
    operator or its order wants to be asked, None while it is in memory or never."""

    partition: int
    device: str
    next_offset: int
    received_ns: int  # when a gateway had its last record
    due_ns: int | None
    value: bytes


class Shelf:
    """States by (partition, device)."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(SCHEMA)

    def put(self, states: Sequence[Kept]) -> list[Kept]:
        """Keep these; one that covers less than what is here changes nothing, and is returned."""
        outdated = []
        self._db.execute("BEGIN")
        for s in states:
            row = (s.partition, s.device, s.next_offset, s.received_ns, s.due_ns, s.value)
            if self._db.execute(PUT, row).rowcount == 0:
                outdated.append(s)
        self._db.execute("COMMIT")
        return outdated

    def get(self, partition: int, device: str) -> Kept | None:
        """The device's state, if there is one."""
        sql = f"SELECT {COLUMNS} FROM states WHERE part = ? AND device = ?"  # noqa: S608 - our own columns
        for row in self._db.execute(sql, (partition, device)):
            return Kept(*row)
        return None

    def set_due(self, partition: int, device: str, due_ns: int | None) -> None:
        """When to ask for it; None takes it from the list."""
        self._db.execute("UPDATE states SET due_ns = ? WHERE part = ? AND device = ?", (due_ns, partition, device))

    def due(self, partition: int, upto_ns: int, limit: int) -> list[str]:
        """The devices that wanted to be asked by then, the earliest first."""
        sql = "SELECT device FROM states WHERE part = ? AND due_ns <= ? ORDER BY due_ns, device LIMIT ?"
        return [device for (device,) in self._db.execute(sql, (partition, upto_ns, limit))]

    def partitions_of(self, device: str, partitions: Sequence[int]) -> list[int]:
        """Where there is a state of it."""
        return [p for p in partitions if self.get(p, device) is not None]

    def remove(self, partition: int, device: str | None = None) -> None:
        """Forget one device of a partition, or all of it."""
        if device is None:
            self._db.execute("DELETE FROM states WHERE part = ?", (partition,))
        else:
            self._db.execute("DELETE FROM states WHERE part = ? AND device = ?", (partition, device))

    def __len__(self) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM states").fetchone()
        return int(count)

    def close(self) -> None:
        """Let go; the file is gone with it."""
        self._db.close()
