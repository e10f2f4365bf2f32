"""Sources that fail in every way there is: each alone, counted, and the agent goes on."""

import asyncio
import contextlib
import itertools
import json
import logging
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge.bad_rows import FILE, OLD_FILE, BadRows
from edge.sources import Bad, Context, Outlet, SourceFailed
from edge.supervise import FIRST_WAIT_S, WAIT_S_MAX, wait_s
from telemetry.clock import ManualClock
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from telemetry.remote_settings import Changes, SourceChange
from tests.edge.agent_world import called, pressures, received, running, settings_of, site, ticking


def failing(error: BaseException) -> Any:
    async def run(outlet: Outlet, context: Context, config: Any) -> None:
        raise error

    return run


async def test_one_that_fails_leaves_the_others_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    extras = {
        "good": ticking(),
        "gone": failing(SourceFailed("the bus does not answer")),
        "io": failing(OSError(5, "I/O error")),
        "bug": failing(ZeroDivisionError("a bug of the source")),
        "cancelled": failing(asyncio.CancelledError()),
        "wrong": failing(Misconfigured("no such device: /dev/i2c-9")),
        "end": ticking_once,
    }
    async with site(tmp_path) as (_, url):
        sources = called(*extras) | {"unknown": {"type": "no_such"}, "off": {"type": "called", "enabled": False}}
        async with running(settings_of(tmp_path, url, sources=sources), extras=extras) as run:
            again = ("gone", "io", "bug", "cancelled")
            await run.until(lambda: all(run.source(name)["restarts"] >= 1 for name in again))
            await run.until(lambda: run.status["lanes"]["live"]["acknowledged_readings"] >= 20)
            report = run.status["sources"]
    states = {name: source["state"] for name, source in report.items()}
    assert states["good"] == "running"
    assert states["wrong"] == states["unknown"] == "misconfigured"
    assert states["end"] == "finished"
    assert states["off"] == "off"
    assert all(states[name] in ("waiting", "running") for name in again)
    assert report["wrong"]["restarts"] == 0
    assert report["gone"]["last_error"] == "the bus does not answer"
    assert report["bug"]["last_error"] == "ZeroDivisionError: a bug of the source"
    assert "no adapter 'no_such'" in report["unknown"]["last_error"]
    traced = {r.args[0] for r in caplog.records if r.exc_info and isinstance(r.args, tuple)}
    assert traced == {"bug", "cancelled"}  # what is known to happen needs no trace


async def ticking_once(outlet: Outlet, context: Context, config: Any) -> None:
    await outlet.put([pressures(1)])


def test_the_wait_grows_and_is_drawn() -> None:
    random = Random(1)
    for attempt in range(40):
        drawn = [wait_s(attempt, random) for _ in range(20)]
        assert min(drawn) >= FIRST_WAIT_S
        assert max(drawn) <= min(WAIT_S_MAX, 2.0**attempt)
        assert attempt == 0 or len(set(drawn)) > 10
    assert min(wait_s(30, random) for _ in range(50)) >= WAIT_S_MAX / 2


async def test_bad_rows_are_counted_and_kept_and_losses_are_counted(tmp_path: Path) -> None:
    async def dirty(outlet: Outlet, context: Context, config: Any) -> None:
        outlet.set_aside([Bad(3, Reason.NOT_FINITE, "1;nan;2", "x"), Bad(9, Reason.BAD_TIME, "\udcff" * 900)])
        outlet.set_aside([Bad(11, Reason.BAD_TIME, "yesterday")])
        outlet.lost(12, "fifo_overflow")

    async with site(tmp_path) as (_, url):
        settings = settings_of(tmp_path, url, sources=called("a"))
        async with running(settings, extras={"a": dirty}) as run:
            await run.until(lambda: run.source("a")["state"] == "finished")
            source = run.source("a")
            lines = [json.loads(line) for line in (run.agent.folder / FILE).read_text().splitlines()]
    assert source["bad"] == {"not_finite": 1, "bad_time": 2}
    assert source["lost"] == {"fifo_overflow": 12}
    assert [(line["source"], line["line"], line["reason"]) for line in lines] == [
        ("a", 3, "not_finite"),
        ("a", 9, "bad_time"),
        ("a", 11, "bad_time"),
    ]
    assert len(lines[1]["text"]) == 500


def test_bad_rows_are_bounded_on_the_disk(tmp_path: Path) -> None:
    rows = BadRows(tmp_path, ManualClock(), size_bytes_max=10_000)
    for k in range(1000):
        rows.keep("a", [Bad(k, "bad_time", "x" * 50)])
    rows.close()
    kept = (tmp_path / OLD_FILE).read_text().splitlines() + (tmp_path / FILE).read_text().splitlines()
    assert (tmp_path / FILE).stat().st_size <= 10_000
    assert (tmp_path / OLD_FILE).stat().st_size <= 10_000
    numbers = [json.loads(line)["line"] for line in kept]
    assert numbers == list(range(1000 - len(numbers), 1000))


def test_a_disk_that_takes_no_bad_rows_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = BadRows(tmp_path / "none", ManualClock())
    for _ in range(3):
        rows.keep("a", [Bad(1, "bad_time", "x")])
    assert len(caplog.records) == 1


async def test_a_source_that_hangs_in_a_thread_and_defies_cancelling_is_left_behind(tmp_path: Path) -> None:
    forever = threading.Event()

    async def stuck(outlet: Outlet, context: Context, config: Any) -> None:
        await outlet.put([pressures(1)])
        while not forever.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.to_thread(forever.wait)

    async with site(tmp_path) as (world, url):
        settings = settings_of(tmp_path, url, sources=called("stuck", "good"))
        async with running(settings, extras={"stuck": stuck, "good": ticking()}) as run:
            await run.until(lambda: run.source("good")["readings"] > 5)
            began_s = time.monotonic()
            await run.end()
            took_s = time.monotonic() - began_s
        forever.set()
        readings = sum(s["readings"] for s in run.agent.last_status["sources"].values())
        assert sum(b.readings for b in await received(world)) == readings
    assert took_s < 5


async def test_changes_restart_only_what_changed(tmp_path: Path) -> None:
    opened: list[tuple[str, float]] = []

    async def noting(outlet: Outlet, context: Context, config: Any) -> None:
        opened.append((context.name, config.rate_hz))
        await ticking()(outlet, context, config)

    async with site(tmp_path) as (_, url):
        settings = settings_of(tmp_path, url, sources=called("a", "b"))
        async with running(settings, extras={"a": noting, "b": noting}) as run:
            await run.until(lambda: len(opened) == 2)
            await run.agent.apply(Changes(batch_period_s=0.2, sources={"a": SourceChange(rate_hz=50)}))
            await run.until(lambda: len(opened) == 3)
            assert opened[-1] == ("a", 50.0)
            assert run.status["batch_period_s"] == 0.2
            await run.agent.apply(Changes(sources={"a": SourceChange(enabled=False)}))
            assert run.source("a")["state"] == "off"
            before = run.source("b")["readings"]
            with pytest.raises(Misconfigured, match="every_s"):
                await run.agent.apply(Changes(sources={"a": SourceChange(rate_hz=9), "b": SourceChange(every_s=3.0)}))
            assert run.source("a")["state"] == "off"  # nothing of what could not be done whole
            await run.agent.apply(Changes())
            await run.until(lambda: len(opened) == 4)
            assert opened[-1] == ("a", 1.0)
            assert run.status["batch_period_s"] == 0.05
            await run.until(lambda: run.source("b")["readings"] > before)
    assert [name for name, _ in opened].count("b") == 1


async def test_settings_from_the_gateway_are_applied_and_a_failing_source_rolls_them_back(tmp_path: Path) -> None:
    async def picky(outlet: Outlet, context: Context, config: Any) -> None:
        for k in itertools.count():
            if config.rate_hz > 100 and k:
                raise SourceFailed("the sensor cannot do that")
            await outlet.put([pressures(context.stamp.now_ns())])
            await asyncio.sleep(0.02)

    async with (
        site(tmp_path) as (_, url),
        running(settings_of(tmp_path, url, sources=called("a")), extras={"a": picky}) as run,
    ):
        run.agent._remote.offer({"version": 4, "sources": {"a": {"rate_hz": 400}}})
        await run.until(lambda: run.status["settings"].startswith("0 failed=4"))
        assert "cannot do that" in run.status["settings"]
        await run.until(lambda: run.source("a")["state"] == "running")
        run.agent._remote.offer({"version": 5, "sources": {"a": {"rate_hz": 40}}})
        await run.until(lambda: run.status["settings"] == "5")


logging.getLogger("edge").setLevel(logging.INFO)
