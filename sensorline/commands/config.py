"""`sensorline config`: what is set, and where each value came from."""

from typing import Annotated

import typer

from sensorline.commands._options import Config, DataDir, Host, Json, LogName, Port, Sets, StoreName, load_settings

app = typer.Typer(help="Show the settings.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Show the settings."""


@app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    as_json: Json = False,
    config: Config = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    log: LogName = None,
    store: StoreName = None,
    sets: Sets = None,
) -> None:
    """Show every setting's value; secrets are masked."""
    from sensorline import output
    from sensorline.effective import effective

    loaded = load_settings(config, data_dir, host=host, port=port, log=log, store=store, sets=sets)
    values = effective(loaded)
    if as_json:
        output.json_line({v.path: {"value": v.value, "origin": v.origin} if origin else v.value for v in values})
    elif origin:
        output.table(("setting", "value", "origin"), [(v.path, v.text, v.origin) for v in values], empty="")
    else:
        output.table(("setting", "value"), [(v.path, v.text) for v in values], empty="")
