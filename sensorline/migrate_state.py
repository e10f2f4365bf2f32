"""How far a migration came: a small file beside the source's data, written after each chunk the target took."""

import hashlib
import os
from pathlib import Path

import msgspec

from telemetry.errors import Misconfigured
from telemetry.ports import Entry, Record


class Progress(msgspec.Struct):
    """One topic: what was copied, up to which next offset by partition, and the target's ends right after."""

    next: dict[int, int] = {}
    target_ends: dict[int, int] = {}
    copied: int = 0
    left_out: int = 0
    letters: dict[str, str] = {}  # of dead letters: their id in the source -> in the target


class _Document(msgspec.Struct):
    target: str
    topics: dict[str, Progress]


class State:
    """The file, read at construction; one file a target."""

    def __init__(self, folder: Path, target: str) -> None:
        """Raises `Misconfigured` when the file is not ours."""
        digest = hashlib.blake2b(target.encode(), digest_size=6).hexdigest()
        self.path = folder / f"migrated-{digest}.json"
        self._document = _Document(target, {})
        if self.path.exists():
            try:
                self._document = msgspec.json.decode(self.path.read_bytes(), type=_Document)
            except (msgspec.DecodeError, OSError) as e:
                raise Misconfigured(f"{self.path} cannot be read ({e}): delete it and empty the target's log") from e

    @property
    def begun(self) -> bool:
        """True when an earlier run has copied something there."""
        return bool(self._document.topics)

    def topic(self, name: str) -> Progress:
        """The topic's progress, to be changed and then saved."""
        return self._document.topics.setdefault(name, Progress())

    def save(self) -> None:
        """Whole or not at all, and on the disk when it returns."""
        fresh = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(self._document))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as e:
            raise Misconfigured(f"{self.path} cannot be written: {e}") from e


def fingerprint(record: Record | Entry) -> bytes:
    """Equal for records of the same key, value and headers, wherever they are."""
    parts = (record.key, record.value, sorted(record.headers.items()))
    return hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()
