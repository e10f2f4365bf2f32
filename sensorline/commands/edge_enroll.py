"""`sensorline edge enroll`: a code turned into this edge's token."""

from pathlib import Path
from typing import Annotated

import typer

from sensorline.commands._options import Json


def enroll(
    url: Annotated[str, typer.Argument(metavar="URL", help="The station, e.g. https://station.example:8443")],
    code: Annotated[str, typer.Argument(metavar="CODE", help="From `sensorline device code NAME` at the station.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="The edge's file.", show_default="edge.toml, where it is there")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="The code must be for this device.", show_default="the file's device, if it says"),
    ] = None,
    cafile: Annotated[
        str | None, typer.Option("--cafile", help="Authority of a station with a certificate of its own.")
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Send code and token over plain HTTP beyond this machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Exchange a code for this edge's token, and keep it; the configuration gets what it lacks to use it."""
    import json

    from sensorline import edge_enroll, output

    done = edge_enroll.enroll(url, code, config=config, name=name, cafile=cafile, allow_http=allow_http)
    if as_json:
        told = {"device": done.device, "token_file": str(done.token_file), "config": done.config and str(done.config)}
        output.json_line({**told, "added": dict(done.added), "to_set": dict(done.to_set)})
        return
    output.say(f"This is {done.device} now; its token is in {done.token_file}.")
    for path, value in done.added.items():
        output.say(f"  {done.config}: {path} = {json.dumps(value)} was added")
    if done.config is None:
        output.say("There is no edge.toml here: `sensorline edge init` makes one; say in it")
    elif done.to_set:
        output.say(f"{done.config} says otherwise: set")
    for path, value in done.to_set.items():
        output.say(f"  {path} = {json.dumps(value)}")
