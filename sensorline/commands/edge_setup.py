"""`sensorline edge init` and `edge check`: the file of an edge written by asking, and tried before it is trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands._options import Json
from telemetry.errors import Misconfigured

if TYPE_CHECKING:
    from sensorline.edge_file import Chosen
    from sensorline.findings import Finding

EdgeFile = Annotated[Path, typer.Option("--config", help="The edge's file.")]
FILE = Path("edge.toml")  # as edge.settings.FILE_DEFAULT; a help text must not wait for that import
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def init(
    config: EdgeFile = FILE,
    device: Annotated[
        str | None, typer.Option("--device", help="Its name.", show_default="this machine's name")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Of the gateway (http, https) or a broker (mqtt, mqtts, ws, wss)."),
    ] = None,
    token_file: Annotated[Path, typer.Option("--token-file", help="Where the token lies.")] = Path("edge.token"),
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Where readings wait.")] = Path("edge-data"),
    plain: Annotated[
        bool, typer.Option("--plain", help="Let the token travel without TLS: on a network of your own only.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; the source is this machine itself.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the file of an edge, by asking what it is called, where it sends and what it measures."""
    from sensorline import edge_file

    if config.exists() and not force:
        raise Misconfigured(f"{config} is there already: --force replaces it, another --config leaves it")
    if not yes:
        device = typer.prompt(
            "Name of this device", default=device or edge_file.device_default(), value_proc=_device_name
        )
        url = typer.prompt(
            "Address of the gateway or of a broker", default=url or edge_file.URL_DEFAULT, value_proc=_address
        )
        if edge_file.is_in_clear(url):
            plain = plain or typer.confirm("Without TLS others on the way can read the token.  Is it your own network?")
    sources = [edge_file.SYSTEM] if yes else [edge_file.SYSTEM, *_asked_sources()]
    plan = edge_file.Plan(
        device=device or edge_file.device_default(),
        url=url or edge_file.URL_DEFAULT,
        sources=sources,
        token_file=token_file,
        data_dir=data_dir,
        plain=plain,
    )
    edge_file.write(plan, config)
    typer.echo(f"{config} is written.  Next, on the station: `sensorline device code {plan.device}`;")
    typer.echo(f"then here: `sensorline edge enroll URL CODE --config {config}`, `sensorline edge check`.")


def _device_name(text: str) -> str:
    """Asked again when it is none."""
    from telemetry.batch import is_name

    if not is_name(text):
        raise typer.BadParameter("a name is 1 to 64 of A-Z a-z 0-9 _ . -")
    return text


def _address(text: str) -> str:
    """Asked again when it is none."""
    from sensorline import edge_file

    try:
        edge_file.transport_of(text)
    except Misconfigured as e:
        raise typer.BadParameter(e.message) from e
    return text


def _asked_sources() -> "list[Chosen]":
    import asyncio

    from sensorline import edge_detect, output

    async def found() -> "list[tuple[Chosen, str]]":
        with output.status("looking for sensors ..."):
            return [answer async for answer in edge_detect.detect()]

    answers = asyncio.run(found())
    if not answers:
        typer.echo("No sensor answered; this machine itself is a source, and the file says how to add others.")
    return [source for source, said in answers if typer.confirm(f"Use {source.type} ({said})?", default=True)]


def check(config: EdgeFile = FILE, as_json: Json = False) -> None:
    """Try the file, each source, the token, the way to the gateway, the clock and the disk.  Stores nothing."""
    import asyncio
    from dataclasses import asdict

    from sensorline import edge_check, loop, output
    from sensorline.findings import has_error

    loop.log_to_stderr("critical")  # a driver's own complaints: each is a finding here

    async def examine() -> "list[Finding]":
        found = []
        async for finding in edge_check.examine(config):
            found.append(finding)
            if as_json:
                output.json_line(asdict(finding))
        return found

    findings = asyncio.run(examine())
    if not as_json:
        _show(findings)
    if has_error(findings):
        raise typer.Exit(1)


def _show(findings: "list[Finding]") -> None:
    from rich.table import Table
    from rich.text import Text

    from sensorline import output

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "check", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        detail = Text(" ".join(finding.detail.split()))
        if finding.mend:
            detail.append(f"\nmend: {finding.mend}", style="dim")
        table.add_row(Text(str(finding.level), style=STYLES[finding.level]), Text(finding.check), detail)
    output.stdout().print(table)
