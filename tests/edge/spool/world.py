"""Cuts whose readings can be told apart, and spools with small limits."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.batcher import Cut, CutLimits
from edge.settings import SpoolSettings
from edge.spool import Spool
from edge.spooled import Epoch, Lane, Spooled
from telemetry import wire
from telemetry.batch import Dropped, Series
from telemetry.clock import Clock, ManualClock

DEVICE = "pi"
T0 = 1_700_000_000_000_000_000
EPOCH = Epoch("boot", 5, synchronised=True)
LATER = Epoch("boot", 7, synchronised=True)
KIB = 1024


def cut(n: int, readings: int = 3) -> Cut:
    """Every reading says `n`; the rest is noise that does not compress."""
    noise = np.random.default_rng(n)
    values = {"x": np.full(readings, n), "y": noise.normal(size=readings), "z": noise.normal(size=readings)}
    return (Series.of("acceleration", T0 + n * 10**9 + np.arange(readings) * 10**6, values),)


def settings(**changes: Any) -> SpoolSettings:
    """Not checked: tests want limits that are too small for anybody else."""
    return SpoolSettings.model_construct(**{**SpoolSettings().model_dump(), **changes})


async def opened(folder: Path, changes: Mapping[str, Any] | None = None, **options: Any) -> Spool:
    """An inline one unless told otherwise."""
    clock: Clock = options.pop("clock", None) or ManualClock()
    options = {"inline": True, "limits": CutLimits(), "epoch": EPOCH, "device": DEVICE, **options}
    return await Spool.open(folder, settings(**(changes or {})), clock=clock, **options)


async def advance(clock: ManualClock, by_s: float, steps: int = 20) -> None:
    """Time passes, and everybody gets to do what became due."""
    for _ in range(steps):
        for _ in range(20):
            await asyncio.sleep(0)
        await clock.advance(by_s / steps)
    for _ in range(20):
        await asyncio.sleep(0)


def killed(spool: Spool, folder: Path, to: Path) -> Path:
    """What a process that is killed now leaves behind."""
    to.mkdir(parents=True)
    for path in folder.iterdir():
        if not path.name.endswith("-shm"):  # of a connection that is still there
            shutil.copy(path, to)
    let_go(spool)
    return to


def let_go(spool: Spool) -> None:
    """End an abandoned spool's connection; it writes nothing."""
    file = spool._keeper._good.file
    if file is not None:
        file.close(checkpoint=False)
    thread = spool._committer._thread
    if thread is not None:
        thread.shutdown()


def numbers(batch: Spooled) -> dict[int, int]:
    """How many readings of which cut."""
    found: dict[int, int] = {}
    for series in wire.decode(batch.body).series:
        for x in np.asarray(series.values["x"]):
            found[int(x)] = found.get(int(x), 0) + 1
    return found


def dropped(batch: Spooled) -> Dropped | None:
    """What a tombstone says."""
    return wire.decode(batch.body).dropped


async def drain(spool: Spool) -> list[Spooled]:
    """Free everything, backlog first, in order."""
    out: list[Spooled] = []
    for lane in (Lane.BACKLOG, Lane.LIVE):
        while (head := await spool.head(lane)) is not None:
            out.append(head)
            await spool.free(head.id)
    return out
