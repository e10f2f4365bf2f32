"""Reads of the SQLite log, off the event loop: a few threads, each with a connection of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from telemetry.logs._sqlite_file import LogView

THREADS = 2
T = TypeVar("T")


class Views:
    """Reading threads, each with a connection of its own."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path, self._vfs = path, vfs
        self._pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="log-reader")
        self._mine = threading.local()
        self._all: list[LogView] = []

    async def run(self, look: Callable[[LogView], T]) -> T:
        """Call this with a view, in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._look, look)

    def close(self) -> None:
        """End the threads and let go of the file; blocks."""
        self._pool.shutdown(cancel_futures=True)
        for view in self._all:
            view.close()
        self._all.clear()

    def _look(self, look: Callable[[LogView], T]) -> T:
        view = getattr(self._mine, "view", None)
        if view is None:
            view = self._mine.view = LogView(self._path, vfs=self._vfs)
            self._all.append(view)
        return look(view)
