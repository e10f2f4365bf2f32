"""One good spool file, whatever happens to it.  Synchronous, in the spool's thread; the keeper works on it.

    full     nothing happened; whoever asked decides
    faulty   nothing of the transaction is believed; a fresh connection, and it may be tried again
    torn     the file is set aside under another name, what is readable is carried into a new one
    gone     deleted or replaced: what the open connection still reads is carried into a new one

A new file is a new generation: sessions of the old one are never written again.
"""

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edge._spool import rescue
from edge._spool.file import SpoolFile
from edge._spool.words import Faulty, Full, Gone, Renewed, State, Torn

logger = logging.getLogger(__name__)

REPORTS_MAX = 20
ATTEMPTS = 3
READ_FAULTS_MAX = 3  # a page that cannot be read so often in a row will not be read at all
T = TypeVar("T")


class GoodFile:
    """The file at `path`, opened by `open_at` when it is needed, and anew or as a new one when it must be.

    `state`, `commits` and `reports` may be looked at from any thread.
    """

    def __init__(self, path: Path, open_at: Callable[[Path], SpoolFile]) -> None:
        self.path = path
        self.generation = 0
        self.reports: deque[str] = deque(maxlen=REPORTS_MAX)
        self.file: SpoolFile | None = None  # not yet, or it could not be opened
        self._open_at = open_at
        self._commits = 0  # of files that are closed
        self._read_faults = 0

    @property
    def state(self) -> State:
        """As it is durable; empty while there is no file."""
        return self.file.state if self.file else State()

    @property
    def commits(self) -> int:
        """Transactions of this run."""
        return self._commits + (self.file.commits if self.file else 0)

    def use(self, work: Callable[[SpoolFile], T], *, reads: bool = False, writes: str = "") -> T:
        """Do it with a good file, making one if need be.  Raises `Full` or `Faulty`.

        What `writes` a session is not done with a new file: there that session is closed, and perhaps incomplete, so
        that its next seq is not known.  It raises `Renewed`.
        """
        for _ in range(ATTEMPTS):
            try:
                result = work(self._opened())
            except Torn as e:
                self._replace(f"is torn ({e})")
            except Gone as e:
                self._replace(f"was deleted ({e})")
            except Faulty as e:
                self._mend(e, reads=reads)
                raise
            else:
                self._read_faults = 0 if reads else self._read_faults
                return result
            if writes:
                raise Renewed(writes)
        raise Faulty("no good file could be made")

    def report(self, text: str) -> None:
        """For a person: in the status and in the log."""
        if not self.reports or self.reports[-1] != text:
            self.reports.append(text)
            logger.error("spool: %s", text)

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()

    # inside

    def _opened(self) -> SpoolFile:
        if self.file is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                rescue.finish(self.path)
            except OSError as e:
                raise Faulty(str(e)) from e
            self.file = self._open_at(self.path)
        return self.file

    def _replace(self, why: str) -> None:
        """A new file with what can be read of the old one.  Raises `Faulty` or `Full`; then the old one stays."""
        old, self.file = self.file, None
        try:
            told = rescue.replace(self.path, old, self._open_at)
        except BaseException:
            self.file = old
            raise
        if old is not None:
            self._commits += old.commits
        self.generation += 1
        self.report(f"{self.path.name} {why}: {told}")

    def _mend(self, error: Faulty, *, reads: bool) -> None:
        self.report(f"{self.path.name}: {error}")
        self._read_faults += reads
        if self.file is None:
            return
        if self._read_faults >= READ_FAULTS_MAX:
            self._read_faults = 0
            self._replace(f"cannot be read ({error})")
            return
        try:
            self.file.reopen()
        except Gone as e:
            self._replace(f"was deleted ({e})")
        except (Full, Faulty, Torn) as e:
            self.report(f"{self.path.name} cannot be opened again: {e}")
