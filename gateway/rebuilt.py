"""Every batch of a device rebuilt from the store, in order, however long its sessions are.

A store exports sensor by sensor, a batch holds several: so each sensor is read on its own, and a batch is whole once
all of them are past it.  At most two pieces a sensor are in memory.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gateway.answers import pieces_within
from gateway.services import Services
from telemetry.batch import Batch
from telemetry.rebuild import batches_of


class Place(NamedTuple):
    """Where a batch stands in the export's order."""

    session: str
    seq: int


class _Sensor:
    """One sensor's rows on their way, in the order of (session, seq)."""

    def __init__(self, name: str, pieces: AsyncIterator[tuple[str, pa.Table]]) -> None:
        self.name = name
        self._pieces = pieces
        self._held: pa.Table | None = None
        self._is_done = False

    async def more(self) -> None:
        """Hold one piece more."""
        piece = await anext(self._pieces, None)
        if piece is None:
            self._is_done = True
        elif piece[1].num_rows:
            held = (
                piece[1] if self._held is None else pa.concat_tables([self._held, piece[1]], promote_options="default")
            )
            self._held = held.combine_chunks()

    @property
    def needs_more(self) -> bool:
        """Nothing is held, and something may come."""
        return self._held is None and not self._is_done

    @property
    def last(self) -> Place | None:
        """The last place held, of which more may come; None when all that there is is held."""
        if self._is_done or self._held is None:
            return None
        end = self._held.num_rows - 1
        return Place(self._held["session"][end].as_py(), self._held["seq"][end].as_py())

    @property
    def is_empty(self) -> bool:
        """Nothing is held, and nothing will come."""
        return self._held is None and self._is_done

    def take(self, before: Place | None) -> pa.Table | None:
        """The rows before that place (None: all), no longer held."""
        held, self._held = self._held, None
        if held is None or before is None:
            return held
        cut = _rows_before(held, before)
        if cut < held.num_rows:
            self._held = held.slice(cut)
        return held.slice(0, cut) if cut else None


async def batches(services: Services, device: str, sensors: Sequence[str]) -> AsyncGenerator[Batch, None]:
    """The device's batches by session and seq.  Raises `StoreUnavailable`."""
    async with AsyncExitStack() as stack:
        rows = []
        for name in sensors:
            pieces = pieces_within(services, services.store.export(device, sensor=name))
            rows.append(_Sensor(name, await stack.enter_async_context(aclosing(pieces))))
        while not all(sensor.is_empty for sensor in rows):
            for sensor in rows:
                while sensor.needs_more:
                    await sensor.more()
            taken = _whole(rows)
            if taken:
                for batch in await asyncio.to_thread(lambda parts: list(batches_of(device, parts)), taken):
                    yield batch
            elif (slowest := _slowest(rows)) is not None:
                await slowest.more()  # one batch is longer than the piece


def _whole(rows: Sequence[_Sensor]) -> list[tuple[str, pa.Table]]:
    """The rows of all batches of which no more can come."""
    slowest = _slowest(rows)
    before = slowest.last if slowest else None
    return [(sensor.name, table) for sensor in rows if (table := sensor.take(before)) is not None]


def _slowest(rows: Sequence[_Sensor]) -> _Sensor | None:
    """The sensor whose held rows end first, of those of which more may come."""
    unfinished = [(sensor.last, sensor) for sensor in rows if sensor.last is not None]
    return min(unfinished, key=lambda pair: pair[0])[1] if unfinished else None


def _rows_before(table: pa.Table, place: Place) -> int:
    """How many of the rows, which are in order, stand before the place."""
    is_session = np.asarray(pc.equal(table["session"], place.session).to_numpy(), np.bool_)
    if not is_session.any():
        earlier = pc.less(table["session"], place.session)
        return int(pc.sum(earlier).as_py() or 0)
    first = int(is_session.argmax())
    count = int(is_session.sum())
    seqs = table["seq"].slice(first, count).to_numpy()
    return first + int(np.searchsorted(seqs, place.seq, "left"))
