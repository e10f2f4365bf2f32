"""How fast one HTTP connection must move, and when it is overdue.  Pure: told what happened and the time.

    OPEN     connected, nothing sent       header_wait_s
    HEADERS  a request has begun           header_wait_s from its first byte
    BODY     its headers are whole         body_window_bytes_min in every body_window_s
    IDLE     between requests              idle_wait_s

A slow link that progresses is never overdue.  While an answer is being made only its reader can be too slow.
"""

from enum import Enum

from telemetry.settings import Limits

HEADER_BYTES_MAX = 32 * 2**10  # request line and headers; browsers and phones send 1 to 4 KiB
HEADER_OVERHEAD_BYTES = 32  # a header's objects in memory
CHUNK_OVERHEAD = 6  # "1\r\nx\r\n": the most that chunked coding costs a byte of body
DRAIN_BYTES_MAX = 16 * 2**20  # of a refused body, so that its sender gets to read the answer


class Phase(Enum):
    """Where the connection is."""

    OPEN = "open"
    HEADERS = "headers"
    BODY = "body"
    IDLE = "idle"
    CLOSING = "closing"


class Pace:
    """One connection's state.  Times are monotonic seconds."""

    __slots__ = (
        "_body_bytes",
        "_header_bytes",
        "_limits",
        "_raw_bytes",
        "_since_s",
        "_window_bytes",
        "draining",
        "phase",
    )

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self.phase = Phase.OPEN
        self.draining = False  # the answer is out, the rest of the body is thrown away
        self._since_s = now_s
        self._raw_bytes = 0
        self._body_bytes = 0
        self._window_bytes = 0
        self._header_bytes = 0

    def data(self, size_bytes: int, now_s: float) -> None:
        """Bytes came; before they are parsed."""
        if self.phase is Phase.IDLE:
            self._since_s = now_s
        if self.phase in (Phase.IDLE, Phase.OPEN):
            self.phase = Phase.HEADERS
            self._raw_bytes = 0
        self._raw_bytes += size_bytes

    def message_began(self, now_s: float) -> None:
        """The first byte of a request was parsed."""
        self._header_bytes = 0
        if self.phase is not Phase.HEADERS:  # pipelined: behind another in the same bytes
            self.phase, self._since_s, self._raw_bytes = Phase.HEADERS, now_s, 0

    def header(self, size_bytes: int) -> None:
        """One header, or trailer, is whole."""
        self._header_bytes += size_bytes + HEADER_OVERHEAD_BYTES

    def headers_done(self, now_s: float) -> None:
        """The headers are whole: a body may follow."""
        self.phase, self._since_s = Phase.BODY, now_s
        self.draining = False
        self._raw_bytes = self._body_bytes = self._window_bytes = 0

    def body(self, size_bytes: int, now_s: float) -> None:
        """A piece of body was parsed."""
        self._body_bytes += size_bytes
        self._window_bytes += size_bytes
        if self._window_bytes >= self._limits.body_window_bytes_min and not self.draining:
            self._since_s, self._window_bytes = now_s, 0

    def held_back(self, now_s: float) -> None:
        """It is we who do not read: the sender is not to blame."""
        self._since_s = now_s

    def message_done(self, now_s: float) -> None:
        """The request is whole."""
        self.phase, self._since_s = Phase.IDLE, now_s

    def answered(self, now_s: float) -> None:
        """The answer is out; whatever is still to come of the request's body is drained, for a while."""
        self._since_s = now_s
        if self.phase is Phase.BODY:
            self.draining, self._body_bytes = True, 0

    def closing(self, now_s: float) -> None:
        """The connection was told to close."""
        self.phase, self._since_s = Phase.CLOSING, now_s

    @property
    def has_bloated_headers(self) -> bool:
        """More bytes of whole headers than any sane request has; may be asked in the midst of parsing a piece."""
        return self._header_bytes > HEADER_BYTES_MAX

    @property
    def is_bloated(self) -> bool:
        """More bytes than any sane request has: endless headers, trailers, chunk extensions, or a refused body.

        To be asked between pieces: within one, its bytes are not yet told apart into headers and body.
        """
        if self.has_bloated_headers:
            return True
        if self.phase is Phase.HEADERS:
            return self._raw_bytes > HEADER_BYTES_MAX
        if self.draining and self._body_bytes > DRAIN_BYTES_MAX:
            return True
        return self.phase is Phase.BODY and self._raw_bytes > HEADER_BYTES_MAX + CHUNK_OVERHEAD * self._body_bytes

    def is_overdue(self, now_s: float, *, answering: bool) -> bool:
        """True when the peer had its time; `answering` is true while a whole request waits for its answer."""
        waited_s = now_s - self._since_s
        if self.phase is Phase.BODY:
            return waited_s > (self._limits.header_wait_s if self.draining else self._limits.body_window_s)
        if self.phase is Phase.IDLE:
            return not answering and waited_s > self._limits.idle_wait_s
        return waited_s > self._limits.header_wait_s
