"""From where a reader broke off to now: through the log itself, then through the ring, then it is one of the others."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

from gateway.live.feed import offsets, seen_of
from gateway.live.follower import POLL_BYTES, POLL_RECORDS, Follower
from gateway.live.marks import Mark
from gateway.live.reader import Reader
from gateway.live.seen import SeenBatch
from gateway.scan import scan
from telemetry.ports import ANOMALIES, BATCHES, Entry
from telemetry.ports import Reader as LogReader

POLL_WAIT_S = 0.2
ROOM_WAIT_S = 10.0  # others wait for the lane
LANE_S = 60.0  # then it ends, and its reader comes back with what it has been told by then
STEP_RECORDS = 20  # told in one piece
TOO_SLOW = "this reader is too slow: it could not catch up"


async def impossible(follower: Follower, mark: Mark, records_max: int) -> str:
    """Why nobody can go on from this mark, or ""; raises `LogUnavailable`."""
    behind = 0
    for topic, begin, told, end in (
        (BATCHES, mark.begin, mark.batches, follower.place.batches),
        (ANOMALIES, mark.anomalies, mark.anomalies, follower.place.anomalies),
    ):
        if told.keys() != end.keys() or any(told[p] > end[p] for p in end):
            ends = await follower.log.ends(topic)  # another gateway may have been ahead of this one
            if told.keys() != ends.keys() or any(told[p] > ends[p] for p in ends):
                return "the id is of another log"
        behind += sum(max(0, end[p] - begin[p]) for p in end)
    if behind > records_max:
        return f"{behind} records were written since"
    if not follower.ring.covers(mark.begin, mark.anomalies):
        for topic, begin in ((BATCHES, mark.begin), (ANOMALIES, mark.anomalies)):
            kept = await follower.log.begins(topic)
            if any(begin[p] < kept.get(p, 0) for p in begin):
                return "what was written since is no longer kept in the log"
    return ""


class CatchUp:
    """Brings one reader, whose stream resumed from `mark`, to where the follower is."""

    def __init__(self, follower: Follower, reader: Reader, records_max: int) -> None:
        self._follower = follower
        self._reader = reader
        self._stream = reader.stream
        self._left_records = 2 * records_max  # it was in reach; who then stays behind does not read

    async def run(self, mark: Mark) -> None:
        """Until the reader is one of the follower's, or has ended.

        Raises `LogUnavailable`, and `TimeoutError` when it does not read.
        """
        await self._retell(mark)
        self._stream.caught_up()
        while not await self._through_ring():
            async with self._follower.lanes, asyncio.timeout(LANE_S):
                await self._through_log()
            if self._left_records < 0:
                self.give_up(TOO_SLOW)
                return

    def give_up(self, why: str) -> None:
        """It goes on from now, and is told so."""
        self._join()
        self._stream.reset(why)
        self._reader.tell()

    async def _retell(self, mark: Mark) -> None:
        """The records of the window that is open at the mark."""
        if not mark.window:
            return
        place, ring = self._follower.place, self._follower.ring
        if ring.covers(mark.begin, mark.anomalies) and _is_at(place.batches, mark.batches):
            for entry in ring.since(0):
                self._known(entry, mark)
            return
        records = scan(self._follower.log, BATCHES, start=mark.begin, ends=mark.batches)
        async with self._follower.lanes, asyncio.timeout(LANE_S), aclosing(records) as entries:
            async for entry in entries:
                self._known(entry, mark)

    def _known(self, entry: Entry, mark: Mark) -> None:
        if (
            entry.topic != BATCHES.name
            or not mark.begin[entry.partition] <= entry.offset < mark.batches[entry.partition]
        ):
            return
        seen = seen_of(entry, self._follower.is_deleted)
        if isinstance(seen, SeenBatch):
            self._stream.known(seen)

    async def _through_ring(self) -> bool:
        """Tell what is in the ring; True once the reader has joined or ended, False when the ring begins too late."""
        own, follower, number = self._stream.place, self._follower, 0
        while not self._reader.has_ended:
            if not follower.ring.covers(own.batches, own.anomalies):
                return False
            number = self._tell_some(number)
            if number < follower.ring.end:
                await asyncio.sleep(0)  # a whole ring in one piece would hold up everybody else
                await self._reader.room()
            elif _is_at(follower.place.batches, own.batches) and _is_at(follower.place.anomalies, own.anomalies):
                self._join()
                return True
            else:  # another gateway had told it more than this one has seen
                await follower.moved()
        return True

    def _tell_some(self, number: int) -> int:
        """A few of the ring's records from this number on, as far as there is room; the number to go on from.

        They must not be held on to: who does not read would keep in memory what the ring has let go.
        """
        ring = self._follower.ring
        number = max(number, ring.begin)
        for entry in ring.since(number, STEP_RECORDS):
            if not self._stream.outbox.has_room:
                break
            self._tell(entry)
            number += 1
        return number

    async def _through_log(self) -> None:
        """Tell what is in the log, up to where the ring begins."""
        own, ring = self._stream.place, self._follower.ring
        readers: list[LogReader] = []
        try:
            readers.append(await self._follower.log.follow(BATCHES, own.batches))
            readers.append(await self._follower.log.follow(ANOMALIES, own.anomalies))
            while not (ring.covers(own.batches, own.anomalies) or self._left_records < 0 or self._reader.has_ended):
                for reader, here in zip(readers, (own.batches, own.anomalies), strict=True):
                    for entry in await reader.poll(records_max=POLL_RECORDS, bytes_max=POLL_BYTES, wait_s=POLL_WAIT_S):
                        self._tell(entry)
                        await asyncio.sleep(0)
                        async with asyncio.timeout(ROOM_WAIT_S):
                            await self._reader.room()
                    for partition, offset in (await reader.position()).items():  # gaps are behind it
                        here[partition] = max(offset, here.get(partition, 0))
        finally:
            for reader in readers:
                await reader.close()

    def _tell(self, entry: Entry) -> None:
        here = offsets(self._stream.place, entry)
        if entry.offset < here.get(entry.partition, 0):
            return
        here[entry.partition] = entry.offset + 1
        self._left_records -= 1
        seen = seen_of(entry, self._follower.is_deleted)
        if seen is not None:
            self._reader.take(seen, self._follower.clock.monotonic_s())

    def _join(self) -> None:
        self._stream.place = self._follower.place
        self._follower.readers.add(self._reader)
        self._reader.tell()


def _is_at(place: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Whether the place is as far as that, or further."""
    return all(place.get(p, 0) >= offset for p, offset in wanted.items())
