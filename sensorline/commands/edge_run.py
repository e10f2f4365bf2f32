"""`sensorline edge run`, `status` and `aside`: become the agent, ask it how it is, see what was refused."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorline.commands._options import Json

if TYPE_CHECKING:
    from edge.settings import EdgeSettings

Config = Annotated[
    Path | None, typer.Option("--config", help="The edge's settings (TOML).", show_default="edge.toml", dir_okay=False)
]
# less memory: no heap for each thread, no threads for matrices that an edge does not have, no columns in tracebacks
LEAN = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONNODEBUGRANGES": "1"}


def run(
    config: Config = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Keep what is handed over, for `sensorline verify`.", dir_okay=False)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="S", min=0, help="Stop after so many seconds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the agent of this edge until SIGINT or SIGTERM.

    This process becomes it: what the command line needs is not in its memory.
    """
    arguments = [sys.executable, "-P", "-m", "sensorline.edge_main"]
    given = {"--config": config, "--ledger": ledger, "--for": seconds}
    arguments += [text for flag, value in given.items() if value is not None for text in (flag, str(value))]
    arguments += ["--json"] if as_json else []
    sys.stdout.flush()
    os.execve(sys.executable, arguments, LEAN | os.environ)  # noqa: S606 - our own program, no shell


def status(config: Config = None, as_json: Json = False) -> None:
    """How this edge is; exit code 1 when no agent runs (what is in the spool is shown all the same)."""
    from edge import status_socket
    from sensorline import output
    from sensorline.edge_words import say
    from telemetry.errors import NotReady

    settings = _load(config)
    folder = settings.path(settings.data_dir)
    trouble = ""
    try:
        found = status_socket.ask(folder)
    except NotReady as e:
        trouble = e.message
        found = _left_behind(settings, folder)
    if as_json:
        output.json_line(found)
    else:
        say(found)
    if trouble:
        output.remark(f"error: {trouble}")
        raise typer.Exit(1)


def aside(
    retry: Annotated[bool, typer.Option("--retry", help="Send them again; needs a running agent.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the batches that the gateway refused for good, with its reasons, or send them again."""
    from edge import status_socket
    from sensorline import output

    settings = _load(config)
    answer: dict[str, Any] = status_socket.ask(settings.path(settings.data_dir), "retry_aside" if retry else "aside")
    if as_json:
        output.json_line(answer)
    elif retry:
        output.say(f"{answer['retried']:,} batches will be sent again")
    else:
        rows = [[output.when(b["at_ns"]), b["session"], b["seq"], b["readings"], b["reason"]] for b in answer["aside"]]
        output.table(["refused", "session", "seq", "readings", "reason"], rows, empty="Nothing was refused.")


def _load(config: Path | None) -> "EdgeSettings":
    from edge.settings import FILE_DEFAULT, load

    return load(config or FILE_DEFAULT)


def _left_behind(settings: "EdgeSettings", folder: Path) -> dict[str, Any]:
    """What the spool's file says by itself."""
    import time

    from edge import status
    from edge._spool import look
    from edge.gauge import Rates

    now_ns = time.time_ns()
    depth = look.depth(folder)
    spool = status.spool(depth, settings.spool, folder if folder.exists() else Path(), now_ns, Rates())
    return {"running": False, "device": settings.device, "now_ns": now_ns, "spool": spool}
