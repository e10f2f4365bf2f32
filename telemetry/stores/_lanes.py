"""Blocking work beside the event loop: one thread that writes, a few that read, and a deadline on everything."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from telemetry.errors import StoreUnavailable

T = TypeVar("T")
PENDING_MAX = 64  # calls waiting for a thread; more are refused at once
_INTERRUPT_AGAIN_S = 0.05
_GRACE_S = 5.0


class Lane:
    """A bounded queue of calls in front of some threads."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._name = name
        self._pending = 0

    async def call(self, work: Callable[[], T], interrupt: Callable[[], None], deadline_s: float) -> T:
        """The result of `work`, run in a thread.

        Raises `StoreUnavailable` when too many wait or the deadline passes; the work is then interrupted, or, if it
        had not begun, never begins.  The same when the caller is cancelled.
        """
        if self._pending >= PENDING_MAX:
            raise StoreUnavailable(f"the {self._name} is busy: {self._pending} calls are waiting", retry_after_s=1.0)
        given_up = Event()

        def unless_given_up() -> T:
            if given_up.is_set():
                raise StoreUnavailable(f"the {self._name} did not come to this call in time")
            return work()

        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, unless_given_up)
        future.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({future}, timeout=deadline_s)
            if done and not future.cancelled():
                return future.result()
            if done:
                raise StoreUnavailable(f"the {self._name} was closed before it came to this call")
        finally:
            given_up.set()
            if not future.done():
                interrupt()
        await _broken_off(future, interrupt)
        raise StoreUnavailable(f"the {self._name} took more than {deadline_s:g} s", retry_after_s=1.0)

    def close(self) -> None:
        """Take no more calls; blocks until those that run have ended."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _ended(self, future: "asyncio.Future[T]") -> None:
        self._pending -= 1
        if not future.cancelled():
            future.exception()  # seen, also when nobody waits for it any more


async def _broken_off(future: "asyncio.Future[T]", interrupt: Callable[[], None]) -> None:
    """Interrupt until it ends: an interrupt that comes between two statements is lost.  A stuck disk ends the wait."""
    for _ in range(int(_GRACE_S / _INTERRUPT_AGAIN_S)):
        interrupt()
        done, _pending = await asyncio.wait({future}, timeout=_INTERRUPT_AGAIN_S)
        if done:
            return
