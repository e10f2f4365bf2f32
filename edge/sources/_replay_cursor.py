"""How far a replay has got in each of its files, as the cursor's text; a file that became another starts anew.

A file is known by its size and its first 64 KiB, so that copying or touching it does not replay it.  One that can
grow (CSV, JSON lines) goes on where it ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

HEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class Progress:
    """`rows` done, by part's name; `size` and `head` (a hash of so much of the beginning) tell the file."""

    size: int
    head: str
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Cursor:
    """Of the whole source; `shift_ns` is what is added to times."""

    files: dict[str, Progress] = field(default_factory=dict)
    shift_ns: int | None = None

    @classmethod
    def of(cls, text: str | None, paths: Mapping[str, Path], *, can_grow: Mapping[str, bool]) -> "Cursor":
        """The stored cursor as far as it fits the files as they are now.  Raises `OSError`."""
        stored = _parsed(text)
        files = {}
        for name, path in paths.items():
            now = Progress(path.stat().st_size, head_of(path))
            before = stored.files.get(name)
            if before is not None and _is_same(before, now, path, can_grow=can_grow[name]):
                now.rows = dict(before.rows)
            files[name] = now
        begun = any(f.rows for f in files.values())
        return cls(files, stored.shift_ns if begun else None)

    def text(self) -> str:
        """As `Outlet.put` takes it."""
        files = {name: [f.size, f.head, f.rows] for name, f in self.files.items() if f.rows}
        return orjson.dumps({"v": 1, "files": files, "shift_ns": self.shift_ns}).decode()


def head_of(path: Path, size: int = HEAD_BYTES) -> str:
    """A hash of the first bytes.  Raises `OSError`."""
    with path.open("rb") as file:
        return blake2b(file.read(min(size, HEAD_BYTES)), digest_size=8).hexdigest()


def _is_same(before: Progress, now: Progress, path: Path, *, can_grow: bool) -> bool:
    if before.size == now.size:
        return before.head == now.head
    return can_grow and now.size > before.size and head_of(path, before.size) == before.head


def _parsed(text: str | None) -> Cursor:
    """A cursor that makes no sense is as if there were none."""
    try:
        document: Any = orjson.loads(text or "{}")
        files = {
            str(name): Progress(int(size), str(head), {str(part): int(n) for part, n in rows.items()})
            for name, (size, head, rows) in document.get("files", {}).items()
        }
        shift = document.get("shift_ns")
    except (ValueError, TypeError, AttributeError):
        return Cursor()
    return Cursor(files, shift if isinstance(shift, int) else None)
