"""What the spool shows its senders: a batch a lane, the same one until it has ended."""

from edge.spooled import Lane, Spooled


class Offered:
    """By lane; forgotten when the sessions, and so the lanes, are others."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Look at the file again, from its beginning."""
        self._shown: dict[Lane, tuple[int, Spooled] | None] = dict.fromkeys(Lane)
        self._from: dict[Lane, int] = dict.fromkeys(Lane, 0)  # no batch before this place is still to be offered

    def batch(self, lane: Lane) -> Spooled | None:
        """The one that is shown."""
        shown = self._shown[lane]
        return shown[1] if shown is not None else None

    def start(self, lane: Lane) -> int:
        """The place from which the next one is looked for."""
        return self._from[lane]

    def show(self, lane: Lane, found: tuple[int, Spooled] | None) -> None:
        """This batch, at its place, is the lane's head now; None: it has none."""
        self._shown[lane] = found

    def end(self, place: int) -> int:
        """Never shown again; its readings, 0 when it was not shown."""
        readings = 0
        for lane, shown in self._shown.items():
            if shown is not None and shown[0] == place:
                readings, self._shown[lane], self._from[lane] = shown[1].readings, None, place + 1
        return readings

    @property
    def put_ns(self) -> list[int]:
        """When each that is shown was put."""
        return [shown[1].put_ns for shown in self._shown.values() if shown is not None]
