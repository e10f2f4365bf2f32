"""`sensorline anomalies`: what was found, when, how bad, and why; `sensorline windows`: what readings amounted to."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Url, open_api
from sensorline.commands._times import since

if TYPE_CHECKING:
    from sensorline.answers import Anomaly

app = typer.Typer(help="List anomalies, latest first; `show` gives one whole.", invoke_without_command=True)


ABOUT = ("t", "end", "session", "count")  # of a window; the rest are features


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Kind(StrEnum):
    """How readings were cut."""

    TUMBLING = "tumbling"
    SLIDING = "sliding"
    SESSION = "session"


@app.callback()
def list_anomalies(
    ctx: typer.Context,
    device: Annotated[str | None, typer.Option("--device", help="Only this device's.")] = None,
    start: Annotated[
        str | None, typer.Option("--since", help="From then on: 2h, 7d, ISO 8601 or UTC nanoseconds.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind, such as fall.")] = None,
    severity: Annotated[Severity | None, typer.Option("--severity", help="Only of this severity.")] = None,
    is_open: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="The latest so many.")] = 100,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """List anomalies, latest first."""
    import msgspec

    from sensorline import output

    if ctx.invoked_subcommand is not None:
        return
    asked = {"device": device, "from": since(start), "kind": kind, "severity": severity and severity.value}
    params = {name: text for name, text in asked.items() if text} | ({"open": "true"} if is_open else {})
    with open_api(url, key, config, data_dir) as api:
        found = api.anomalies(params, limit=limit)
        if as_json:
            for one in found:
                output.json_line(msgspec.to_builtins(one))
            return
        rows = [_row(one) for one in found]
    columns = ("since", "until", "severity", "device", "what", "said", "id")
    output.table(columns, rows, empty="No anomalies.")


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show one with what carried it and the samples around it."""
    import msgspec

    from sensorline import output

    with open_api(url, key, config, data_dir) as api:
        one = api.anomaly(id_)
    if as_json:
        output.json_line(msgspec.to_builtins(one))
        return
    output.say(f"{one.words}\n{one.severity}, {one.device}, {one.stream}, score {one.score:.2f} by {one.detector}")
    output.say(f"{output.when(one.start_ns)} to {_until(one)}{'' if one.live else ', found afterwards'}")
    if one.label is not None:
        output.say(f"{one.label.by} says: {_said(one) or 'not seen yet'}")
    for said in one.evidence:
        output.say(f"  {said.words}")
    times = one.samples.columns.get("t", []) if one.samples else []
    output.say(f"{len(times)} samples around it: --json gives them")


def windows(
    device: Annotated[str, typer.Option("--device", help="Whose.")],
    sensor: Annotated[str, typer.Option("--sensor", help="As the catalogue calls it.")],
    start: Annotated[str, typer.Option("--since", help="From then on: 2h, 7d, ISO 8601 or UTC nanoseconds.")] = "1h",
    end: Annotated[str | None, typer.Option("--to", help="Until before this time.")] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="How readings were cut.")] = Kind.TUMBLING,
    width_s: Annotated[float, typer.Option("--width", help="Seconds; session windows have none.")] = 1.0,
    features: Annotated[str | None, typer.Option("--features", help="Only these, e.g. x_rms,x_max.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="The first so many.")] = 1_000,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """List windows of a sensor's readings with their features."""
    from sensorline import output

    asked = {"device": device, "sensor": sensor, "kind": kind.value, "width_s": str(width_s), "limit": str(limit)}
    asked |= {"from": since(start) or "0", "to": since(end, "--to") or str(2**63 - 1)}
    with open_api(url, key, config, data_dir) as api:
        found = api.windows(asked)
    wanted = features.split(",") if features else list(found.columns)
    shown = [*ABOUT, *(name for name in wanted if name in found.columns and name not in ABOUT)]
    rows = list(zip(*(found.columns[name] for name in shown), strict=True))
    if as_json:
        for row in rows:
            output.json_line(dict(zip(shown, row, strict=True)))
    else:
        listed = [(output.when(row[0]), row[3], *(_short(value) for value in row[4:])) for row in rows]
        output.table(("from", "readings", *shown[4:]), listed, empty="No windows.")
    if found.truncated:
        output.remark(f"note: only the first {limit:,}: ask for less time, or for more with --limit")


def _row(one: "Anomaly") -> tuple[str, ...]:
    from sensorline import output

    return output.when(one.start_ns), _until(one), one.severity, one.device, one.words, _said(one), one.id


def _until(one: "Anomaly") -> str:
    from sensorline import output

    return "open" if one.open else output.when(one.end_ns)


def _said(one: "Anomaly") -> str:
    """What people say of it, in a word or two."""
    if one.label is None:
        return ""
    seen = ["seen"] if one.label.acknowledged else []
    return ", ".join([*seen, *([one.label.verdict] if one.label.verdict else []), *filter(None, [one.label.note])])


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
