"""A disk under SQLite that can lose power: what was not synced is gone, or half of it, in any order.

`Disk` keeps beside the real files what of them would survive: the bytes at the last sync, and the writes since.
`cut` freezes that; every later write or sync fails, as for a process whose machine is off, and `restore` lays out
what a new start would find.  It can also refuse to sync (EIO) or to write (no space).

Limits of the model: sectors of 512 bytes are written whole or not at all (which SQLite assumes of a disk it takes
for power-safe), and a file that was synced is in its directory (SQLite syncs the directory of a new journal itself).
"""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR_BYTES = 512
Write = tuple[int, bytes]  # where, what
Truncate = int  # the new size


@dataclass
class Kept:
    """One file: what is safe, and what was done since, in order."""

    safe: bytearray = field(default_factory=bytearray)
    since: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.since:
            apply(self.safe, change)
        self.since.clear()


@dataclass
class Disk:
    """All files of one simulated machine.

    `cut_at` cuts the power in that write or sync from now (1 is the next); `fail_sync` makes each sync an I/O
    error; `bytes_left` is how far files may still grow.
    """

    files: dict[str, Kept] = field(default_factory=dict)
    cut_at: int | None = None
    fail_sync: bool = False
    bytes_left: int | None = None
    syncs: int = 0
    off: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def write(self, name: str, offset: int, data: bytes, size: int) -> None:
        with self.lock:
            self._step()
            grown = max(0, offset + len(data) - size)
            if self.bytes_left is not None and grown > self.bytes_left:
                raise apsw.FullError("the simulated disk is full")
            if self.bytes_left is not None:
                self.bytes_left -= grown
            self._kept(name).since.append((offset, data))
            self._fail_when_off()  # a write during which the power fails may be there, too

    def truncate(self, name: str, size: int) -> None:
        with self.lock:
            self._step()
            self._kept(name).since.append(size)
            self._fail_when_off()

    def sync(self, name: str) -> None:
        with self.lock:
            self._step()
            self._fail_when_off()
            if self.fail_sync:
                raise io_error(apsw.SQLITE_IOERR_FSYNC)
            self.syncs += 1
            self._kept(name).sync()

    def delete(self, name: str) -> None:
        with self.lock:
            self._fail_when_off()
            self.files.pop(name, None)

    def _step(self) -> None:
        self._fail_when_off()
        if self.cut_at is not None:
            self.cut_at -= 1
            self.off = self.cut_at <= 0

    def _fail_when_off(self) -> None:
        if self.off:
            raise io_error(apsw.SQLITE_IOERR_WRITE)

    def _kept(self, name: str) -> Kept:
        return self.files.setdefault(name, Kept())

    def cut(self) -> None:
        """The power fails now."""
        with self.lock:
            self.off = True

    def restore(self, folder: Path, rng: random.Random) -> None:
        """Write what survived into `folder`, under the same file names: of the unsynced writes none, the first few,
        or any."""
        survive = rng.choice((none_of, first_of, any_of))
        folder.mkdir(parents=True)
        with self.lock:
            for name, kept in self.files.items():
                image = bytearray(kept.safe)
                for change in survive(list(sectors(kept.since)), rng):
                    apply(image, change)
                (folder / Path(name).name).write_bytes(image)


def none_of(_changes: list[Write | Truncate], _rng: random.Random) -> list[Write | Truncate]:
    return []


def first_of(changes: list[Write | Truncate], rng: random.Random) -> list[Write | Truncate]:
    return changes[: rng.randint(0, len(changes))]


def any_of(changes: list[Write | Truncate], rng: random.Random) -> list[Write | Truncate]:
    share = rng.random()
    return [change for change in changes if rng.random() < share]


def sectors(changes: list[Write | Truncate]) -> Iterator[Write | Truncate]:
    """Writes cut at the sector boundaries of the file."""
    for change in changes:
        if isinstance(change, int):
            yield change
            continue
        offset, data = change
        while data:
            n = SECTOR_BYTES - offset % SECTOR_BYTES
            yield offset, data[:n]
            offset, data = offset + n, data[n:]


def apply(image: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, int):
        del image[change:]
        return
    offset, data = change
    image.extend(bytes(max(0, offset - len(image))))
    image[offset : offset + len(data)] = data


def io_error(extended: int) -> apsw.IOError:
    error = apsw.IOError("the simulated disk failed")
    error.extendedresult = extended
    return error


class PowerLossVFS(apsw.VFS):
    """SQLite's own file layer, told to the disk; `name` is what a connection asks for."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.disk = disk
        super().__init__(name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        file = PowerLossFile("", name, flags)
        file.disk = self.disk
        file.name = str(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.disk.delete(filename)
        super().xDelete(filename, syncdir)


class PowerLossFile(apsw.VFSFile):
    """A file whose writes and syncs go past the disk; temporary files have no name and are not kept."""

    disk: Disk
    name: str

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.name:
            self.disk.write(self.name, offset, bytes(data), self.xFileSize())
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        if self.name:
            self.disk.truncate(self.name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        if self.name:
            self.disk.sync(self.name)  # the real file needs no sync: nothing here outlives the test
