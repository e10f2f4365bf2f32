"""Starts, finds and ends the local servers of one home folder.

Rules: whoever changes a home holds its lock; a server is remembered before it is waited for, so none that was
started can be lost; a signal goes only to a process whose start time is the remembered one.
"""

import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from sensorline.servers import jars, processes, state
from sensorline.servers.errors import ServersError
from sensorline.servers.locks import locked
from sensorline.servers.ports import HOST, free_port, is_free
from sensorline.servers.recipes import RECIPES, recipe
from sensorline.servers.state import Entry

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
PORT_TIMEOUT_S = 5.0
LOCK_TIMEOUT_S = 30 * 60.0  # a first `up` may be fetching jars

Log = Callable[[str], None]
Options = Mapping[str, str]


@dataclass(frozen=True)
class Servers:
    """Where the running servers of `home` are; an address is empty when that server does not run."""

    home: Path
    bootstrap: str
    elasticsearch_url: str
    pids: dict[str, int]


@dataclass(frozen=True)
class Status:
    """`state` is `ready`, `unready` (starting, paused or stuck) or `down`."""

    state: str
    pid: int
    port: int
    log: Path


def quiet(_line: str) -> None:
    """The default log."""


def up(
    home: Path,
    which: Iterable[str] = tuple(RECIPES),
    kafka_port: int | None = None,
    elasticsearch_port: int | None = None,
    log: Log = quiet,
    *,
    kafka_properties: Options | None = None,
    elasticsearch_settings: Options | None = None,
    heaps: Options | None = None,
    ready_timeout_s: float = READY_TIMEOUT_S,
) -> Servers:
    """Have the servers named in `which` running and ready, and say where.

    A port None is the one it had, else 19092 and 19200; 0 is the one it had, else a free one. `kafka_properties` and
    `elasticsearch_settings` are added to the configuration and win; `heaps` is by server name, such as 512m or 1g.
    One that already runs is left as it is; a dead one starts again with its data, port, heap and options.
    Raises ServersError, with the last lines of its log, when one does not become ready: all that this call started is
    then stopped.
    """
    home = home.absolute()
    ports = {"kafka": kafka_port, "elasticsearch": elasticsearch_port}
    options = {"kafka": kafka_properties, "elasticsearch": elasticsearch_settings}
    names = list(dict.fromkeys(which))
    for name in names:
        recipe(name)
    with _lock(home):
        former = state.load(home)
        wanted = {
            name: _wish(former.get(name), name, ports[name], options[name], (heaps or {}).get(name)) for name in names
        }
        started = [name for name in names if not _alive(former.get(name))]
        try:
            for name in started:
                _start(home, name, wanted[name], log)
            for name in names:
                _wait_ready(home, name, ready_timeout_s, log)
        except BaseException:
            _stop(home, started, log)
            raise
        return _running(home)


def down(home: Path, log: Log = quiet, which: Iterable[str] = tuple(RECIPES)) -> list[str]:
    """Stop the servers that were started here, and give the names of those that ran. Their data stays."""
    home = home.absolute()
    if not state.path(home).exists():
        return []
    with _lock(home):
        return _stop(home, list(which), log)


def status(home: Path) -> dict[str, Status]:
    """By name, each server that was ever started here."""
    home = home.absolute()
    return {
        name: Status(_state(name, entry), entry.pid, entry.port, log_file(home, name))
        for name, entry in state.load(home).items()
    }


def kill(home: Path, name: str) -> None:
    """SIGKILL, as a crash would be: nothing is flushed or closed."""
    entry = _signal(home, name, signal.SIGKILL)
    processes.wait_gone(entry.pid, entry.started, STOP_TIMEOUT_S)


def pause(home: Path, name: str) -> None:
    """SIGSTOP: connections stay open and nothing answers."""
    _signal(home, name, signal.SIGSTOP)


def resume(home: Path, name: str) -> None:
    _signal(home, name, signal.SIGCONT)


def restart(home: Path, name: str, log: Log = quiet, ready_timeout_s: float = READY_TIMEOUT_S) -> Servers:
    """Stop `name` if it runs and start it again with the same data, port and options."""
    _known(home, name)
    down(home, log, (name,))
    return up(home, (name,), log=log, ready_timeout_s=ready_timeout_s)


def log_file(home: Path, name: str) -> Path:
    return home.absolute() / "logs" / f"{name}.log"


def log_tail(home: Path, name: str) -> str:
    try:
        return processes.tail(log_file(home, name).read_text(errors="replace"))
    except FileNotFoundError:
        return "(no log)"


def _lock(home: Path) -> AbstractContextManager[None]:
    return locked(home / "servers.lock", LOCK_TIMEOUT_S)


def _alive(entry: Entry | None) -> bool:
    return entry is not None and processes.identity(entry.pid) == entry.started


def _wish(former: Entry | None, name: str, port: int | None, options: Options | None, heap: str | None) -> Entry:
    """What `name` is to be: what the caller says, else what it was, else the defaults. No pid yet."""
    if former is None:
        port = free_port() if port == 0 else port or recipe(name).DEFAULT_PORT
        return Entry(0, "", port, heap or recipe(name).DEFAULT_HEAP, dict(options or {}))
    if _alive(former) and port and port != former.port:
        raise ServersError(f"{name} already runs on port {former.port}, not {port}: take it down first")
    kept = former.options if options is None else dict(options)
    return replace(former, port=port or former.port, heap=heap or former.heap, options=kept)


def _becomes_free(port: int, wait_s: float) -> bool:
    """Whether nobody has the port, at once or soon: a killed process counts as dead before all its threads are, and
    its sockets go with the last of them."""
    deadline = time.monotonic() + wait_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _start(home: Path, name: str, wish: Entry, log: Log) -> None:
    if not _becomes_free(wish.port, PORT_TIMEOUT_S):
        raise ServersError(
            f"{name} cannot have port {wish.port} of {HOST}, it is in use: choose another, or 0 for a free one"
        )
    made = recipe(name)
    folder = jars.fetched(made.POM, made.arrange, log)
    log_file(home, name).parent.mkdir(parents=True, exist_ok=True)
    log(f"starting {name} on {HOST}:{wish.port}")
    pid = processes.spawn(made.command(home, folder, wish.port, wish.heap, wish.options), log_file(home, name))
    # An empty identity is of one that died at once: it equals no process, and the wait below reports it.
    entry = replace(wish, pid=pid, started=processes.identity(pid) or "")
    state.save(home, {**state.load(home), name: entry})


def _wait_ready(home: Path, name: str, wait_s: float, log: Log) -> None:
    entry, begun = state.load(home)[name], time.monotonic()
    while not recipe(name).is_ready(entry.port):
        waited_s = time.monotonic() - begun
        if not _alive(entry):
            raise ServersError(
                f"{name} ended before it was ready; {log_file(home, name)} ends with:\n{log_tail(home, name)}"
            )
        if waited_s > wait_s:
            raise ServersError(
                f"{name} is not ready after {waited_s:.0f} s; {log_file(home, name)} ends with:\n{log_tail(home, name)}"
            )
        time.sleep(0.1)
    log(f"{name} is ready on {HOST}:{entry.port} (pid {entry.pid})")


def _stop(home: Path, names: list[str], log: Log) -> list[str]:
    entries = state.load(home)
    stopped = []
    for name in names:
        entry = entries.get(name)
        if entry is not None and processes.stop(entry.pid, entry.started, STOP_TIMEOUT_S):
            log(f"stopped {name} (pid {entry.pid})")
            stopped.append(name)
    return stopped


def _running(home: Path) -> Servers:
    entries = {name: entry for name, entry in state.load(home).items() if _alive(entry)}
    kafka, elastic = entries.get("kafka"), entries.get("elasticsearch")
    return Servers(
        home=home,
        bootstrap=f"{HOST}:{kafka.port}" if kafka else "",
        elasticsearch_url=f"http://{HOST}:{elastic.port}" if elastic else "",
        pids={name: entry.pid for name, entry in entries.items()},
    )


def _state(name: str, entry: Entry) -> str:
    if not _alive(entry):
        return "down"
    return "ready" if recipe(name).is_ready(entry.port) else "unready"


def _known(home: Path, name: str) -> Entry:
    entry = state.load(home.absolute()).get(name)
    if entry is None:
        raise ServersError(f"{name} was never started in {home}")
    return entry


def _signal(home: Path, name: str, number: signal.Signals) -> Entry:
    entry = _known(home, name)
    if not processes.send(entry.pid, entry.started, number):
        raise ServersError(f"{name} of {home} does not run")
    return entry
