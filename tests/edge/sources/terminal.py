"""A pseudo-terminal as a serial port: what is written to it, a source reads."""

import os
import termios
import tty
from types import TracebackType


class Terminal:
    """`port` is for the source's option."""

    def __enter__(self) -> "Terminal":
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.port = os.ttyname(self._near)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.unplug()

    def say(self, data: bytes) -> None:
        """Bytes for whoever reads the port."""
        while data:
            data = data[os.write(self._far, data) :]

    def empty(self) -> None:
        """Throw away what nobody has read."""
        termios.tcflush(self._near, termios.TCIFLUSH)

    def unplug(self) -> None:
        """The far end goes away."""
        for number in (self._far, self._near):
            if number >= 0:
                os.close(number)
        self._far = self._near = -1
