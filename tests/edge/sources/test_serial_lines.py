"""Lines of text from a serial port (a pseudo-terminal): each becomes a reading or is set aside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.sources import SourceFailed, serial_lines
from edge.sources._lines import Lines
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from tests.edge.sources.harness import Kept, context, until
from tests.edge.sources.terminal import Terminal
from tests.telemetry.batches import unhurried

AIR = [
    {"sensor": "temperature", "fields": {"celsius": {"from": "t", "unit": "degF"}}},
    {"sensor": "humidity", "fields": {"relative": "h"}},
]


@asynccontextmanager
async def running(**options: object) -> AsyncIterator[tuple[Terminal, Kept, "asyncio.Task[None]"]]:
    with Terminal() as terminal:
        kept = Kept()
        config = serial_lines.Config.model_validate({"port": terminal.port, "map": AIR, **options})
        task = asyncio.create_task(serial_lines.open(config, context()).run(kept))
        await asyncio.sleep(0.05)  # the port's bytes before it is opened are nobody's
        terminal.say(b"the rest of a line\n")
        yield terminal, kept, task
        task.cancel()
        with suppress(asyncio.CancelledError, SourceFailed):
            await task


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"format": "json"}, json.dumps({"t": 68, "h": 40.5, "x": None})),
        ({"format": "csv", "columns": ["n", "t", "h"]}, '7,"68", 40.5'),
        ({"format": "csv", "columns": ["t", "h"], "delimiter": ";"}, "68;40.5"),
        ({"format": "pairs"}, "n=1 t=68, h=40.5"),
    ],
)
async def test_formats_and_units(options: dict[str, object], line: str) -> None:
    async with running(**options) as (terminal, kept, _):
        terminal.say(f"{line}\r\n\r\n{line}\n".encode())
        await until(lambda: kept.count("temperature") == 2)
    assert kept.column("temperature", "celsius").tolist() == pytest.approx([20.0, 20.0], abs=1e-4)
    assert kept.column("humidity", "relative").tolist() == [40.5, 40.5]
    assert abs(kept.times("temperature")[0] - context().stamp.now_ns()) < 10 * 10**9
    assert not kept.bad
    assert kept.losses == {"joined_midway": 1}


async def test_a_time_of_its_own() -> None:
    timed = {"sensor": "temperature", "time": "at.ms", "time_unit": "ms", "fields": {"celsius": "t"}}
    async with running(map=timed) as (terminal, kept, _):
        terminal.say(b'{"t":1,"at":{"ms":1700000000123}}\n')
        await until(lambda: kept.count("temperature") == 1)
    assert kept.times("temperature").tolist() == [1_700_000_000_123_000_000]


@pytest.mark.parametrize(
    ("options", "line", "reason", "detail"),
    [
        ({}, b"{", Reason.UNDECODABLE, ""),
        ({}, b'"\xff"', Reason.UNDECODABLE, "utf-8"),
        ({}, b'{"t":"hot"}', Reason.BAD_VALUES, "t is not a number"),
        ({}, b'{"h":140}', Reason.OUT_OF_RANGE, "relative"),
        ({}, b"[]", Reason.BAD_VALUES, "no value"),
        ({"line_bytes_max": 32}, b"x" * 5000, Reason.UNDECODABLE, "longer than 32 bytes"),
        ({"format": "csv", "columns": ["t", "h"]}, b"1,2,3", Reason.UNDECODABLE, "3 values, not 2"),
        ({"format": "csv", "columns": ["t", "h"]}, b'"1,2', Reason.UNDECODABLE, "CSV"),
        ({"format": "pairs"}, b"t=1 h", Reason.UNDECODABLE, "'h' is no key=value"),
        ({"format": "pairs"}, b"t=nan", Reason.NOT_FINITE, ""),
    ],
)
async def test_a_bad_line_is_set_aside(options: dict[str, object], line: bytes, reason: Reason, detail: str) -> None:
    async with running(**options) as (terminal, kept, _):
        terminal.say(line + b"\n")
        await until(lambda: bool(kept.bad))
    [bad] = kept.bad
    assert (bad.line, bad.reason) == (2, reason)
    assert detail in bad.detail
    assert not kept.series


async def test_silence_and_an_unplugged_device_end_the_source() -> None:
    async with running(silence_s=0.2) as (_, _, task):
        with pytest.raises(SourceFailed, match="said nothing"):
            await asyncio.wait_for(task, 5)
    async with running() as (terminal, _, task):
        terminal.unplug()
        with pytest.raises(SourceFailed):
            await asyncio.wait_for(task, 5)


async def test_check_shows_what_a_line_becomes() -> None:
    with Terminal() as terminal:
        for line, words in ((b'{"t":1,"h":2}', "readings of temperature, humidity"), (b"?", "no reading, undecodable")):
            config = serial_lines.Config.model_validate({"port": terminal.port, "map": AIR})
            check = asyncio.create_task(serial_lines.open(config, context()).check())
            await asyncio.sleep(0.05)
            terminal.say(b"piece\n" + line + b"\n")
            assert words in await check


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="columns"):
        serial_lines.Config.model_validate({"port": "p", "format": "csv", "map": AIR})
    with pytest.raises(ValidationError, match="columns"):
        serial_lines.Config.model_validate({"port": "p", "columns": ["a"], "map": AIR})
    wrong = {"port": "p", "map": {"sensor": "humidity", "fields": {"relative": {"from": "h", "unit": "furlong"}}}}
    with pytest.raises(Misconfigured, match="furlong"):
        serial_lines.open(serial_lines.Config.model_validate(wrong), context())


@unhurried
@given(
    lines=st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and not b.endswith(b"\r")), max_size=8),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=30),
    limit=st.integers(1, 40),
)
def test_lines_do_not_depend_on_how_bytes_arrive(lines: list[bytes], cuts: list[int], limit: int) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    split, got, at, k = Lines(limit), [], 0, 0
    while at < len(data):
        got += split.feed(data[at : at + cuts[k % len(cuts)]])
        at += cuts[k % len(cuts)]
        k += 1
    assert [g.number for g in got] == list(range(1, len(lines) + 1))
    for whole, line in zip(lines, got, strict=True):
        assert line.is_cut == (len(whole) > limit)
        assert line.data == whole if not line.is_cut else whole.startswith(line.data[:limit])
        assert len(line.data) <= limit + 1
