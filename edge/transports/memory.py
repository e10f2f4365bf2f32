"""Transport `memory`: hands batches to a function in this process, such as a gateway's intake.

Delivery: the function's own.  Its `SensorlineError`s become the statuses that the gateway would have answered.
"""

from collections.abc import Awaitable, Callable, Mapping

from edge.transports import Answer
from telemetry.errors import SensorlineError


class MemoryTransport:
    """Calls `handle(body, headers)`; returning is a 200 with what it returned as the body."""

    def __init__(self, handle: Callable[[bytes, Mapping[str, str]], Awaitable[bytes]]) -> None:
        self._handle = handle

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Call the function; see `Transport.send`."""
        try:
            answer = await self._handle(body, headers or {})
        except SensorlineError as e:
            return Answer(e.status, e.retry_after_s, e.code, e.message)
        except (OSError, TimeoutError) as e:
            return Answer(None, detail=f"{type(e).__name__}: {e}")
        return Answer(200, body=answer)

    async def close(self) -> None:
        """Nothing to let go."""
