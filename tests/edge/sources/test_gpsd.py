"""gpsd's reports as readings: from a real gpsd, and from a session that is played."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.sources import SourceFailed, gpsd
from edge.sources._fixes import FixClock, utc_ns
from telemetry.outcome import Reason
from tests.edge.sources.harness import ClockStamp, Kept, context, until
from tests.faults.gpsd import START, latitude, playing, real_gpsd, tpv


async def played(lines: Sequence[bytes | float], **options: object) -> tuple[Kept, ClockStamp, SourceFailed | None]:
    """What the source made of a session, and how it ended."""
    kept, used = Kept(), context()
    failure: SourceFailed | None = None
    async with playing(lines) as port, asyncio.timeout(10):
        try:
            await gpsd.open(gpsd.Config.model_validate({"port": port, **options}), used).run(kept)
        except SourceFailed as e:
            failure = e
    assert isinstance(used.stamp, ClockStamp)
    return kept, used.stamp, failure


async def test_a_fix_with_everything() -> None:
    kept, _, failure = await played([tpv(0), tpv(1)])
    assert failure is not None, "the other end closed"
    assert kept.times("location").tolist() == [utc_ns(START), utc_ns(START + timedelta(seconds=1))]
    assert kept.column("location", "latitude").tolist() == [latitude(0), latitude(1)], "no digit is lost"
    expected = {
        "longitude": 11.5,
        "altitude": 592.3,
        "altitude_msl": 545.4,
        "speed": 1.543,
        "bearing": 45.0,
        "horizontal_accuracy": 5.5,
        "vertical_accuracy": 6.0,
        "speed_accuracy": 0.5,
        "bearing_accuracy": 10.0,
    }
    for name, value in expected.items():
        assert kept.column("location", name)[0] == pytest.approx(value), name
    assert set(kept.series[0].values) == {"latitude", *expected}


async def test_modes_and_what_may_be_absent() -> None:
    old = tpv(2, altMSL=None, altHAE=None, eph=None)  # before 3.20: only alt; before 3.19: no eph
    nowhere = tpv(0, lat=None, lon=None)
    kept, _, _ = await played(
        [tpv(0, mode=1), tpv(0, mode=0), nowhere, tpv(1, mode=2), old, b'{"class":"SKY","satellites":[]}']
    )
    assert kept.count("location") == 2
    assert np.isnan(kept.column("location", "altitude")).all()
    assert np.isnan(kept.column("location", "altitude_msl")[0]), "a 2D fix has no height"
    assert kept.column("location", "altitude_msl")[1] == 545.4
    assert kept.column("location", "horizontal_accuracy").tolist() == [5.5, 5.0]
    assert not kept.bad


async def test_a_report_that_is_repeated_is_one_reading() -> None:
    kept, _, _ = await played([tpv(0), tpv(0), tpv(1), tpv(1, device="/dev/ttyACM1")])
    assert kept.count("location") == 3


async def test_one_receiver_of_several() -> None:
    kept, _, _ = await played([tpv(0), tpv(0, device="b"), tpv(1), tpv(1, device="b")], device="b")
    assert kept.count("location") == 2


async def test_a_fix_without_time_is_stamped_on_arrival() -> None:
    kept, stamp, _ = await played([tpv(0, time=None)])
    assert abs(kept.times("location")[0] - stamp.now_ns()) < 10 * 10**9


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", Reason.UNDECODABLE),
        (b"[1]", Reason.UNDECODABLE),
        (tpv(0, lat=91.0), Reason.OUT_OF_RANGE),
        (tpv(0, lat="48"), None),
        (tpv(0, speed=-5), Reason.OUT_OF_RANGE),
        (tpv(0, lat=[1]), Reason.BAD_VALUES),
        (tpv(0, time="yesterday"), Reason.BAD_TIME),
        (tpv(0, time="1969-01-01T00:00:00Z"), Reason.BAD_TIME),
        (tpv(0, time="2026-01-01T00:00:00"), Reason.BAD_TIME),
        (tpv(0, epx="a", eph=None), None),
    ],
)
async def test_what_is_wrong_is_set_aside_and_the_rest_goes_on(line: bytes, reason: Reason | None) -> None:
    kept, _, _ = await played([line, tpv(5)])
    assert [b.reason for b in kept.bad] == ([reason] if reason else [])
    assert kept.count("location") == 2 - len(kept.bad)
    for bad in kept.bad:
        assert bad.line == 2
        assert bad.text


async def test_silence_an_error_and_an_endless_line_end_the_source() -> None:
    for lines, words in (
        ([tpv(0), 5.0], "nothing for 0.2 s"),
        ([b'{"class":"ERROR","message":"no such device"}', 5.0], "no such device"),
        ([b"x" * 300_000, 5.0], "limit"),
        ([], "closed the connection"),
    ):
        _, _, failure = await played(lines, silence_s=0.2)
        assert failure is not None
        assert words in str(failure)


async def test_nobody_there() -> None:
    with pytest.raises(SourceFailed, match="does not answer"):
        await gpsd.open(gpsd.Config(port=1), context()).check()


async def test_the_clock_is_told_only_by_a_receiver_that_goes_on_as_it_does() -> None:
    begun, kept, used = datetime.now(UTC), Kept(), context()
    live: list[bytes | float] = []
    for k in range(100):
        live += [tpv(0, start=begun + timedelta(seconds=0.1 * k)), 0.1]
    stamp = used.stamp
    assert isinstance(stamp, ClockStamp)
    async with playing(live) as port:
        task = asyncio.create_task(gpsd.open(gpsd.Config(port=port), used).run(kept))
        await until(lambda: bool(stamp.told) or task.done())
        task.cancel()
        await asyncio.wait([task])
    assert kept.count("location") >= 3, "after some that agreed"
    for said_ns, at_s in stamp.told:
        assert abs(stamp.at_ns(at_s) - said_ns) < 5e9
    _, stamp, _ = await played([tpv(k) for k in range(30)])
    assert not stamp.told, "a log that is played fast"


def test_a_receiver_that_counts_weeks_wrongly_is_not_believed() -> None:
    fixes = FixClock()
    old = utc_ns(START - timedelta(weeks=1024))
    assert not any(fixes.is_trusted(old + k * 10**9, float(k)) for k in range(20))
    now = utc_ns(START)
    assert [fixes.is_trusted(now + k * 10**9, float(k)) for k in range(20, 25)] == [False, False, False, True, True]
    assert not fixes.is_trusted(now, 25.0), "it jumped"


@pytest.mark.real
@pytest.mark.timeout(600)  # where it may, it installs Debian's packages first
async def test_a_real_gpsd(tmp_path: Path) -> None:
    kept, used = Kept(), context()
    async with real_gpsd(tmp_path, 40) as port:
        source = gpsd.open(gpsd.Config(port=port), used)
        task = asyncio.create_task(source.run(kept))
        await until(lambda: kept.count("location") >= 10 or task.done())
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        line = await source.check()
    assert "3D fix" in line
    assert "/dev/" in line
    assert not kept.bad
    seconds = (kept.times("location") - utc_ns(START)) // 10**9
    dated = (seconds >= 0) & (seconds < 40)
    assert dated[3:].all(), "before it has heard a date, gpsd takes today's"
    expected = [latitude(k) for k in seconds[dated].tolist()]
    assert np.allclose(kept.column("location", "latitude")[dated], expected, atol=1e-8), "each under its own time"
    assert np.allclose(kept.column("location", "longitude"), 11.5)
    settled = kept.column("location", "altitude_msl")
    assert settled[~np.isnan(settled)][-1] == pytest.approx(545.4)
    height = kept.column("location", "altitude")
    assert height[~np.isnan(height)][-1] == pytest.approx(545.4 + 46.9, abs=0.5)
    speed = kept.column("location", "speed")
    assert speed[~np.isnan(speed)][-1] == pytest.approx(3 * 1852 / 3600, rel=0.01)
    assert not used.stamp.told, "the track was played faster than time"  # type: ignore[attr-defined]
