"""What every source promises, over every source there is.

Importing one needs no driver; a missing library, a missing device and an unknown option are told in words; a source
that is cancelled, at whatever moment, ends within a second and lets go; what it hands over is canonical and plausible.
"""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge.sources import Options, Source
from telemetry import adapters
from telemetry.batch import Series, out_of_range
from telemetry.clock import SystemClock
from telemetry.errors import Misconfigured, SensorlineError
from telemetry.reading import CATALOGUE
from tests.edge.sources.harness import Kept, context, until
from tests.ports.sources_builders import BUILDERS, Builder, Ready

PORT = "edge.sources"
NAMES = adapters.names(PORT)
every_source = pytest.mark.parametrize("name", NAMES)
every_builder = pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.name)

CANCEL_S_MAX = 1.0
CHECK_S_MAX = 10.0
LINE_CHARS_MAX = 400
MOMENTS_S = (0.0, 0.001, 0.05, 0.3, 0.6)

# Nothing of this may be needed before a source is opened, and nothing of the second row ever in an edge's process.
DRIVERS = ("smbus2", "serial", "pynmeagps", "psutil", "sense_hat", "sqlalchemy", "jmespath", "paho", "httpx", "pint")
FORBIDDEN = ("pyarrow", "fastapi", "aiokafka", "elasticsearch", "duckdb", "river")


def opened(builder: Builder, options: Any, folder: Path, **extras: Any) -> Source:
    """The source, as the agent opens it."""
    module = adapters.load(PORT, builder.name)
    source: Source = module.open(adapters.configure(module, "test", options), context(SystemClock(), folder, **extras))
    return source


def over(builder: Builder, ready: Ready, folder: Path) -> Source:
    return opened(builder, ready.options, folder, **ready.extras)


def test_every_source_is_in_the_suite() -> None:
    assert {b.name for b in BUILDERS} == set(NAMES), "add yours to tests/ports/sources_builders.py"


@every_source
def test_it_has_options_and_can_be_opened(name: str) -> None:
    module: ModuleType = adapters.load(PORT, name)
    assert issubclass(module.Config, Options)
    assert callable(module.open)
    assert module.__doc__
    assert "Delivery:" in module.__doc__, "what it guarantees is told, in a sentence"


@every_source
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"nonsense|Field required"):
        adapters.configure(adapters.load(PORT, name), "test", {"nonsense": 1})
    assert adapters.load(PORT, name).Config.model_config["extra"] == "forbid"


def test_importing_needs_no_driver() -> None:
    program = f"""
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {DRIVERS + FORBIDDEN!r}:
            raise ImportError(f"{{name}} is not installed")
sys.meta_path.insert(0, Absent())
for name in {NAMES!r}:
    importlib.import_module(f"{PORT}.{{name}}")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@every_builder
async def test_a_missing_library_is_named_with_its_mend(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not builder.library:
        pytest.skip("needs no library of an extra")
    async with builder.ready(tmp_path) as ready:
        module = adapters.load(PORT, builder.name)
        config = adapters.configure(module, "test", ready.options)

        def absent(name: str, package: str | None = None) -> ModuleType:
            raise ImportError(name)

        monkeypatch.setattr("importlib.import_module", absent)
        with pytest.raises(Misconfigured, match="install"):
            module.open(config, context(SystemClock(), tmp_path))
        monkeypatch.undo()


@every_builder
async def test_it_hands_over_canonical_and_plausible_readings(builder: Builder, tmp_path: Path) -> None:
    kept = Kept()
    async with builder.ready(tmp_path) as ready:
        task = asyncio.create_task(over(builder, ready, tmp_path).run(kept))
        await until(lambda: bool(kept.series) or task.done())
        if not builder.ends:
            assert not task.done(), task.exception()
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_S_MAX)
    assert kept.series
    for series in kept.series:
        assert len(series)
        assert series.t.dtype == np.int64
        assert (series.t >= 0).all()
        again = Series.of(series.sensor, series.t, series.values, series.extra)
        assert list(again.values) == list(series.values), "fields in the catalogue's order, absent ones absent"
        for name, column in series.values.items():
            kind = CATALOGUE[series.sensor].by_name[name]
            if kind.kind.is_number:
                assert isinstance(column, np.ndarray)
                assert column.dtype == kind.kind.value
                assert not out_of_range(kind, column).any()
                assert not np.isinf(column).any()


@every_builder
async def test_cancelled_at_any_moment_it_ends_within_a_second_and_lets_go(builder: Builder, tmp_path: Path) -> None:
    async with builder.ready(tmp_path) as ready:
        await asyncio.to_thread(lambda: None)  # the thread pool's own files, if any, are open by now
        for wait_s in MOMENTS_S:
            before = _files()
            task = asyncio.create_task(over(builder, ready, tmp_path).run(Kept()))
            await asyncio.wait([task], timeout=wait_s)
            begun = time.monotonic()
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_S_MAX * 3)
            assert task.done(), f"cancelled after {wait_s} s"
            assert task.cancelled() or builder.ends, task.exception()
            assert time.monotonic() - begun < CANCEL_S_MAX
            assert ready.has_let_go()
            await until(lambda before=before: _files() <= before)


@every_builder
async def test_check_says_in_a_line_what_it_found(builder: Builder, tmp_path: Path) -> None:
    async with builder.ready(tmp_path) as ready, asyncio.timeout(CHECK_S_MAX):
        line = await over(builder, ready, tmp_path).check()
        assert ready.has_let_go()
    assert line.strip()
    assert "\n" not in line
    assert len(line) <= LINE_CHARS_MAX


@every_builder
async def test_what_is_absent_is_told_in_words(builder: Builder, tmp_path: Path) -> None:
    if builder.absent is None:
        pytest.skip("it is always there")
    for how in ("check", "run"):
        with pytest.raises(SensorlineError) as told:
            async with asyncio.timeout(CHECK_S_MAX):
                source = opened(builder, builder.absent, tmp_path)
                await (source.check() if how == "check" else source.run(Kept()))
        assert len(told.value.message) > 10


def _files() -> set[str]:
    """What this process has open, by name; sockets and pipes each have one of their own."""
    found = set()
    for number in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists
            found.add(str(number.readlink()))
    return {name for name in found if not name.startswith("/proc/")}
