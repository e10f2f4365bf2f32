"""A GPS receiver on a serial port (a pseudo-terminal): sentences of a moment become one reading."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edge.sources import SourceFailed, nmea
from edge.sources._fixes import utc_ns
from telemetry.outcome import Reason
from tests.edge.sources.harness import ClockStamp, Kept, context, until
from tests.edge.sources.terminal import Terminal
from tests.faults.gpsd import START, epoch, latitude, sentence


@dataclass
class Running:
    """A source over a terminal."""

    terminal: Terminal
    kept: Kept
    stamp: ClockStamp
    task: "asyncio.Task[None]"

    def say(self, sentences: Sequence[str]) -> None:
        self.terminal.say("".join(f"{s}\r\n" for s in sentences).encode("latin-1"))

    async def readings(self, n: int) -> None:
        await until(lambda: self.kept.count("location") >= n or self.task.done())
        if self.task.done():
            self.task.result()


@asynccontextmanager
async def running(**options: object) -> AsyncIterator[Running]:
    with Terminal() as terminal:
        kept, used = Kept(), context()
        source = nmea.open(nmea.Config.model_validate({"port": terminal.port, **options}), used)
        task = asyncio.create_task(source.run(kept))
        await asyncio.sleep(0.05)  # the port's bytes before it is opened are nobody's
        assert isinstance(used.stamp, ClockStamp)
        yield Running(terminal, kept, used.stamp, task)
        task.cancel()
        with suppress(asyncio.CancelledError, SourceFailed):
            await task


async def test_a_moment_is_one_reading() -> None:
    async with running() as r:
        r.say([*epoch(0), *epoch(1)])
        await r.readings(2)
    assert r.kept.times("location").tolist() == [utc_ns(START), utc_ns(START + timedelta(seconds=1))]
    assert np.allclose(r.kept.column("location", "latitude"), [latitude(0), latitude(1)], atol=1e-8)
    expected = {
        "longitude": 11.5,
        "altitude": 545.4 + 46.9,
        "altitude_msl": 545.4,
        "speed": 3 * 1852 / 3600,
        "bearing": 45.0,
        "horizontal_accuracy": 5.0,
        "vertical_accuracy": 6.0,
    }
    for name, value in expected.items():
        assert r.kept.column("location", name).tolist() == pytest.approx([value] * 2), name
    assert not r.kept.bad


async def test_the_last_moment_does_not_wait_for_the_next() -> None:
    async with running() as r:
        r.say(epoch(0))
        await r.readings(1)


async def test_sentences_may_come_in_any_order_and_in_any_pieces() -> None:
    async with running() as r:
        data = "".join(f"{s}\r\n" for k in range(5) for s in reversed(epoch(k))).encode()
        for at in range(0, len(data), 7):
            r.terminal.say(data[at : at + 7])
            await asyncio.sleep(0)
        await r.readings(5)
        await asyncio.sleep(0)
    assert r.kept.count("location") == 5
    assert not np.isnan(r.kept.column("location", "altitude")).any()


async def test_without_a_fix_there_is_no_reading() -> None:
    async with running() as r:
        r.say([*epoch(0, fix=False), *epoch(1, fix=False), *epoch(2)])
        await r.readings(1)
    assert r.kept.times("location").tolist() == [utc_ns(START + timedelta(seconds=2))]
    assert not r.kept.bad, "no fix is no fault"


async def test_a_damaged_sentence_is_set_aside_and_the_moment_is_kept_without_it() -> None:
    async with running() as r:
        rmc, gga, gsa, gst = epoch(0)
        r.say([rmc, gga.replace("545.4", "645.4"), gsa, gst, "what is this", "$GPGGA,1,2,3", *epoch(1)])
        await r.readings(2)
    assert [b.reason for b in r.kept.bad] == [Reason.UNDECODABLE] * 3
    assert r.kept.bad[0].line == 2
    assert "645.4" in r.kept.bad[0].text
    assert "checksum" in r.kept.bad[0].detail
    assert np.isnan(r.kept.column("location", "altitude_msl")).tolist() == [True, False]


async def test_the_piece_of_a_sentence_at_the_start_is_nobodys_fault() -> None:
    async with running() as r:
        r.say([epoch(0)[0][9:], *epoch(1)])
        await r.readings(1)
    assert not r.kept.bad


async def test_noise_and_an_endless_line_are_bounded() -> None:
    async with running() as r:
        r.say(["first", "\xff\x00\x80" * 20, "$" + "x" * 3000, *epoch(0)])
        await r.readings(1)
    assert [b.line for b in r.kept.bad] == [2, 3]
    assert all(len(b.text) <= 500 for b in r.kept.bad)


async def test_impossible_positions_are_set_aside() -> None:
    rmc = sentence("GPRMC,120000.00,A,9500.0000,N,01130.0000,E,3.0,045.0,010326,,,A")
    async with running() as r:
        r.say([rmc, *epoch(1)])
        await r.readings(1)
    assert [b.reason for b in r.kept.bad] == [Reason.OUT_OF_RANGE]


async def test_without_gst_the_geometry_says_how_good_it_is() -> None:
    async with running(metres_per_hdop=4) as r:
        r.say(epoch(0)[:3])
        await r.readings(1)
    assert r.kept.column("location", "horizontal_accuracy")[0] == pytest.approx(0.9 * 4)


async def test_without_a_date_a_moment_is_stamped_on_arrival() -> None:
    async with running() as r:
        r.say(epoch(0)[1:])
        await r.readings(1)
        assert abs(r.kept.times("location")[0] - r.stamp.now_ns()) < 10 * 10**9


async def test_a_receiver_that_goes_on_as_time_does_sets_the_clock() -> None:
    begun = datetime.now(UTC).replace(microsecond=0)
    async with running() as r:
        for k in range(60):  # some may be late on a busy machine; then it begins to count anew
            at = begun + timedelta(milliseconds=100 * k)
            body = f"GPRMC,{at:%H%M%S}.{at.microsecond // 10000:02d},A,4807.0,N,01130.0,E,3.0,045.0,{at:%d%m%y},,,A"
            r.say([sentence(body)])
            await asyncio.sleep(0.1)
            if r.stamp.told:
                break
    assert r.stamp.told
    assert r.kept.count("location") >= 4, "after some that agreed"


async def test_silence_and_an_unplugged_receiver_end_the_source() -> None:
    async with running(silence_s=0.3) as r:
        r.say(["not", "nmea"])
        with pytest.raises(SourceFailed, match="baud"):
            await asyncio.wait_for(r.task, 5)
    async with running() as r:
        r.say(epoch(0))
        await r.readings(1)
        r.terminal.unplug()
        with pytest.raises(SourceFailed):
            await asyncio.wait_for(r.task, 5)
    with pytest.raises(SourceFailed, match="cannot be opened"):
        await nmea.open(nmea.Config(port="/dev/none"), context()).check()


async def test_check_says_whether_there_is_a_fix() -> None:
    with Terminal() as terminal:
        source = nmea.open(nmea.Config(port=terminal.port), context())
        check = asyncio.create_task(source.check())
        await asyncio.sleep(0.05)
        terminal.say("".join(f"{s}\r\n" for k in range(3) for s in epoch(k)).encode())
        assert await check == f"NMEA on {terminal.port}, a fix"
