"""The process that `sensorline edge run` becomes: the agent, its signals, its log, and as few imports as that takes.

A Pi has little memory: no command line library, no rich, no settings from the environment.
"""

import argparse
import asyncio
import faulthandler
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sensorline.loop import FORCED

if TYPE_CHECKING:
    from edge.agent import Fittings
    from edge.settings import EdgeSettings

logger = logging.getLogger("sensorline.edge")

EXIT_WAIT_S = 9.8  # after a signal; what hangs then is shown and left


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the agent of a configuration file; exit code 0 when it was told to stop, 1 when something broke."""
    _slim()
    from telemetry.errors import SensorlineError

    options = _parser().parse_args(arguments)
    try:
        code = _run(options)
    except SensorlineError as e:
        print(f"error: {' '.join(e.message.split())}", file=sys.stderr)
        code = 1
    except Exception:
        logger.exception("the agent broke; what was committed is in the spool")  # the process ends here anyway
        code = 1
    _leave(code)


def _slim() -> None:
    """Before httpx is imported: it brings a command line of its own, which imports click, rich and pygments where
    they are installed (about 8 MiB); without this module it does without, as its own package provides for."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def _run(options: argparse.Namespace) -> int:
    from edge.settings import load
    from sensorline.loop import log_to_stderr

    settings = load(options.config)
    log_to_stderr(settings.log_level)
    # asyncio's own loop: uvloop takes 2 MiB more, and an edge sends a batch a second
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_live(options, settings))
    return 0


async def _live(options: argparse.Namespace, settings: "EdgeSettings") -> None:
    from edge.agent import Agent, Fittings

    stop = asyncio.Event()
    _listen(stop)
    agent = Agent(settings, Fittings() if options.ledger is None else _witnessed(options.ledger, settings))

    def ready() -> None:
        _say(options, {"pid": os.getpid(), "device": settings.device, "session": agent.spool.session})
        if options.seconds is not None:
            asyncio.get_running_loop().call_later(options.seconds, _stop, stop)

    await agent.run(stop, on_ready=ready)
    if options.as_json:
        print(json.dumps(agent.last_status), flush=True)


def _witnessed(ledger: Path, settings: "EdgeSettings") -> "Fittings":
    from edge.agent import Fittings
    from sensorline.edge_journal import LedgerJournal

    journal, folder = LedgerJournal(ledger), settings.path(settings.data_dir)

    def closed() -> None:
        journal.leave(folder)
        journal.close()

    return Fittings(journal=journal, on_locked=lambda: journal.begin(folder), on_closed=closed)


def _listen(stop: asyncio.Event) -> None:
    """The first signal asks for a good end within `EXIT_WAIT_S`, the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def told(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(FORCED)
        # here and not in the loop, which may be what hangs
        faulthandler.dump_traceback_later(EXIT_WAIT_S, exit=True)
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, told)


def _stop(stop: asyncio.Event) -> None:
    faulthandler.dump_traceback_later(EXIT_WAIT_S, exit=True)
    stop.set()


def _say(options: argparse.Namespace, what: dict[str, Any]) -> None:
    if options.as_json:
        print(json.dumps(what), flush=True)
    else:
        logger.info("device %(device)s, session %(session)s, process %(pid)s", what)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sensorline edge run", description="Run the agent of this edge.")
    parser.add_argument("--config", type=Path, default=Path("edge.toml"), help="the edge's settings (TOML)")
    parser.add_argument("--ledger", type=Path, help="keep what is handed over, for `sensorline verify`")
    parser.add_argument("--for", dest="seconds", type=float, metavar="S", help="stop by itself after so many seconds")
    parser.add_argument("--json", dest="as_json", action="store_true", help="a JSON line when it runs and at the end")
    return parser


def _leave(code: int) -> NoReturn:
    """Without waiting for threads: a source's driver may be stuck in one for ever."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
