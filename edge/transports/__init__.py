"""PORT: transports.  A batch's bytes -> an answer.  One transport a file.

A transport sends once and says what came back; whether to try again is `edge.retry`'s to decide.  The far end of
each is the listener of the same name in `gateway/listeners/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or silence (`status` None: no connection, a reset, a deadline that passed).

    `code` is the error's stable name (e.g. "rate_limited"), "" when the answer names none; `body` is cut at
    `ANSWER_BYTES_MAX`.
    """

    status: int | None
    retry_after_s: float | None = None
    code: str = ""
    detail: str = ""
    body: bytes = b""


ANSWER_BYTES_MAX = 64 * 1024


class Transport(Protocol):
    """One device's way to the gateway.  Delivery: at most once a call; the caller repeats until it is answered."""

    async def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Hand one batch over and wait for its answer, within the transport's own deadline.

        `headers` travel beside the bytes, which never change.  Raises nothing but cancellation: whatever goes wrong
        on the way is silence, with the reason in `detail`.
        """
        ...

    async def close(self) -> None:
        """Let the connection go."""
        ...
