"""Who reads the log: each consumer's name (its group), topic, how it is made, and when it runs.

A consumer is imported when it is made, so what it needs (a detector's libraries) need not be there where it does not
run.
"""

import asyncio
import importlib
import importlib.util
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from telemetry.errors import Misconfigured
from telemetry.ports import ANOMALIES, BATCHES, Topic
from telemetry.settings import Settings

if TYPE_CHECKING:
    from consumers.operator import Work
    from consumers.processor import Processor
    from sensorline.station import Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Role:
    """One consumer.  `needs` are the modules of `extra` without which it cannot run."""

    topic: Topic
    make: "Callable[[Engine], Processor]"
    extra: str = ""
    needs: tuple[str, ...] = ()
    is_wanted: Callable[[Settings], bool] = lambda _settings: True
    flush_wait_s: float | None = None  # where an answer is awaited and a small flush costs little; None = the setting
    prepare: Callable[[], Awaitable[None]] | None = None  # what takes long, before it can run

    def missing(self) -> str | None:
        """What must be installed before it runs, in words."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"needs {', '.join(absent)}: pip install 'sensorline[{self.extra}]'" if absent else None


def _index(engine: "Engine") -> "Processor":
    from consumers.index import Index

    return Index(engine.log, engine.store, engine.clock, engine.registry.is_deleted, engine.refresh)


def _ledger(engine: "Engine") -> "Processor":
    from consumers.ledger import Ledger

    return Ledger(engine.store, session_cache_max=engine.settings.consumers.session_cache_max)


def _detect(engine: "Engine") -> "Processor":
    from consumers.detect import AnomalySink, DetectOperators
    from consumers.operator import Work

    return _keyed(engine, Work("detect", DetectOperators(engine.settings.detect), AnomalySink(engine.log)))


async def _compile_detectors() -> None:
    compiler = await asyncio.to_thread(importlib.import_module, "consumers.compile")  # numba takes seconds to import
    await compiler.compile_ahead()
    await asyncio.to_thread(compiler.compile_here)


def _windows(engine: "Engine") -> "Processor":
    from consumers.operator import Work
    from consumers.windows import WindowOperators, WindowSink

    return _keyed(engine, Work("windows", WindowOperators(engine.settings.windows), WindowSink(engine.store)))


def _keyed(engine: "Engine", work: "Work[T]") -> "Processor":
    from consumers.keyed import Keyed

    settings = engine.settings.consumers
    return Keyed(engine.log, work, settings, engine.clock, deletions=engine.registry, refresh=engine.refresh)


def _anomalies(engine: "Engine") -> "Processor":
    from consumers.anomalies import Anomalies

    return Anomalies(engine.log, engine.store, engine.clock, engine.registry.is_deleted, engine.refresh)


def _alert(engine: "Engine") -> "Processor":
    from consumers.alert import Alerter
    from consumers.alerts import open_channel

    settings = engine.settings.alerts
    if not settings.channels:  # it would read everything and tell nobody
        raise Misconfigured("alerts.channels names nobody who could be told", path="alerts.channels")
    channels = {name: open_channel(name, options) for name, options in settings.channels.items()}
    return Alerter(
        engine.log,
        settings,
        channels,
        engine.clock,
        labels=engine.labels,
        is_deleted=engine.registry.is_deleted,
        refresh=engine.refresh,
    )


ROLES: Mapping[str, Role] = {
    "index": Role(BATCHES, _index),
    "ledger": Role(BATCHES, _ledger),
    "detect": Role(BATCHES, _detect, "detect", ("river", "numba"), lambda s: s.detect.enabled, 0.1, _compile_detectors),
    "windows": Role(BATCHES, _windows, is_wanted=lambda settings: settings.windows.enabled),
    "anomalies": Role(ANOMALIES, _anomalies, flush_wait_s=0.1),
    "alert": Role(
        ANOMALIES, _alert, is_wanted=lambda s: s.alerts.enabled and bool(s.alerts.channels), flush_wait_s=0.1
    ),
}


def role(name: str) -> Role:
    """Raises `Misconfigured` for a name that is not there, or whose libraries are not."""
    if name not in ROLES:
        raise Misconfigured(f"there is no consumer {name!r}; there are: {', '.join(ROLES)}")
    if missing := ROLES[name].missing():
        raise Misconfigured(f"the consumer {name!r} {missing}")
    return ROLES[name]


def enabled(settings: Settings) -> list[str]:
    """The consumers that these settings switch on and that can run here."""
    if unknown := [name for name in settings.consumers.enabled if name not in ROLES]:
        raise Misconfigured(
            f"consumers.enabled: there is no consumer {unknown[0]!r}; there are: {', '.join(ROLES)}",
            path="consumers.enabled",
        )
    wanted = [n for n, r in ROLES.items() if n in settings.consumers.enabled and r.is_wanted(settings)]
    return [name for name in wanted if ROLES[name].missing() is None]


def warn_of_missing(settings: Settings) -> None:
    """Tell which of those that are switched on are off all the same, and how to mend it."""
    for name in settings.consumers.enabled:
        if (missing := ROLES[name].missing()) and ROLES[name].is_wanted(settings):
            logger.warning("%s is off: it %s", name, missing)


async def prepare(name: str) -> None:
    """Before this consumer runs; may take a minute at a machine's first start, and holds nothing up meanwhile."""
    role = ROLES[name]
    if role.prepare is not None:
        await role.prepare()
