"""`sensorline score` and `sensorline evaluate`: the detectors over a file, and over the open benchmarks."""

import time as clock
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sensorline.commands._options import Json


class Benchmark(StrEnum):
    """What `evaluate` knows."""

    NAB = "nab"
    SKAB = "skab"
    MOTION = "motion"


class ProfileName(StrEnum):
    """As in `consumers.profiles`."""

    SERIES = "series"
    CHANNELS = "channels"
    MOTION = "motion"
    HEALTH = "health"


def score(
    source: Annotated[Path, typer.Argument(metavar="IN", help="CSV (any delimiter, with a header) or .parquet.")],
    time: Annotated[str, typer.Option("--time", help="The column of times: ISO 8601, or a number.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, CSV or .parquet.")],
    fields: Annotated[
        str, typer.Option("--fields", metavar="A,B", help="The columns to look at.", show_default="all of numbers")
    ] = "",
    profile: Annotated[
        ProfileName | None, typer.Option("--profile", help="Which detectors.", show_default="by the columns")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find anomalies in a file: the same rows come out, with score, alarm, kind and reason.

    The very detectors of a running station, row after row: none is told what comes later.
    """
    from sensorline import output, scoring

    begun_s = clock.perf_counter()
    names = [name for name in fields.split(",") if name]
    done = scoring.score(source, out, time=time, fields=names, profile=profile.value if profile else "")
    took_s = clock.perf_counter() - begun_s
    if as_json:
        document = {"rows": done.rows, "alarms": done.alarms, "kinds": done.kinds, "profile": done.profile}
        output.json_line(document | {"fields": list(done.fields), "file": str(out), "seconds": round(took_s, 3)})
        return
    kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in sorted(done.kinds.items(), key=lambda one: -one[1]))
    typer.echo(f"{out}: {done.rows:,} rows, {done.alarms:,} in alarm{f' ({kinds})' if kinds else ''}")
    typer.echo(f"profile {done.profile} over {', '.join(done.fields)}; {took_s:.1f} s")


def evaluate(
    benchmark: Annotated[Benchmark, typer.Argument(help="Which one.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The benchmark's folder.")],
    baselines: Annotated[bool, typer.Option(help="Run River's detectors beside ours.")] = True,
    as_json: Json = False,
) -> None:
    """Measure the detectors on an open benchmark: thresholds chosen on one part, used unchanged on another."""
    import importlib

    from consumers.compile import compile_here
    from sensorline import output
    from telemetry.errors import Misconfigured

    if not data.is_dir():
        raise Misconfigured(f"there is no folder {data}")
    compile_here()  # not to be measured with the rows
    table = importlib.import_module(f"sensorline.evaluation.{benchmark.value}").evaluate(data, baselines=baselines)
    if as_json:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        output.json_line({"title": table.title, "rows": rows, "notes": list(table.notes)})
        return
    typer.echo(table.title)
    output.table(table.columns, table.rows, empty="nothing was measured")
    for note in table.notes:
        typer.echo(note)
