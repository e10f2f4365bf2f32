"""`sensorline doctor`: what is wrong with this installation, and how to mend it."""

from typing import TYPE_CHECKING

import typer

from sensorline.commands._options import Config, DataDir, Host, Json, LogName, Port, Sets, StoreName, load_settings

if TYPE_CHECKING:
    from sensorline.findings import Finding

COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "error": typer.colors.RED}


def doctor(
    config: Config = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    log: LogName = None,
    store: StoreName = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Check the machine, the settings and the engine; changes nothing.  Exit code 1 when something is wrong."""
    import asyncio
    from dataclasses import asdict

    from sensorline import doctor as work
    from sensorline import loop, output
    from sensorline.findings import has_error

    loop.log_to_stderr("critical")  # a driver's own complaints: each is a finding here
    settings = load_settings(config, data_dir, host=host, port=port, log=log, store=store, sets=sets).settings

    async def examine() -> "list[Finding]":
        found = []
        async for finding in work.examine(settings):
            found.append(finding)
            if as_json:
                output.json_line(asdict(finding))
            else:
                _show(finding)
        return found

    if has_error(asyncio.run(examine())):
        raise typer.Exit(1)


def _show(finding: "Finding") -> None:
    level = typer.style(f"{finding.level:<8}", fg=COLOURS[finding.level])
    typer.echo(f"{level}{finding.check:<15} {finding.detail}")
    if finding.mend:
        typer.echo(f"{'':<24}mend: {finding.mend}")
