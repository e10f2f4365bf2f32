"""Moments at a steady pace, for sources that ask; what was missed on a busy machine is not made up for."""

from telemetry.clock import Clock


class Ticks:
    """Waits for the next multiple of the period since the first call."""

    def __init__(self, clock: Clock, period_s: float) -> None:
        self._clock = clock
        self._period_s = period_s
        self._due_s: float | None = None

    async def wait(self) -> int:
        """The first call returns at once.  Returns how many ticks were missed since the last one."""
        now_s = self._clock.monotonic_s()
        if self._due_s is None:
            self._due_s = now_s + self._period_s
            return 0
        missed = max(0, int((now_s - self._due_s) / self._period_s))
        self._due_s += missed * self._period_s
        await self._clock.sleep(max(0.0, self._due_s - now_s))
        self._due_s += self._period_s
        return missed
