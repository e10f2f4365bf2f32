"""`sensorline mqtt`: a broker to start with, and its accounts kept equal to the registry's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Sets, Url, load_settings, local_url

if TYPE_CHECKING:
    import asyncio

    from sensorline.mqtt_sync import Done, Sync

app = typer.Typer(help="Mosquitto: set it up, and keep its accounts equal to the devices'.", no_args_is_help=True)

SYNC_EVERY_S = 5.0


@app.command()
def init(
    folder: Annotated[Path, typer.Option("--folder", help="Made, with everything in it.")] = Path("mosquitto"),
    host: Annotated[str, typer.Option("--host", help="Address that the broker listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 1883,
    plugin: Annotated[
        Path | None,
        typer.Option("--plugin", help="Mosquitto's dynamic-security plugin.", show_default="where packages put it"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a first configuration of Mosquitto, with accounts for the gateway and its administration."""
    from sensorline import mqtt_init, output

    made = mqtt_init.init(folder, host=host, port=port, plugin=plugin)
    if as_json:
        output.json_line({"configuration": str(made.configuration), "file": str(made.accounts), **made.settings})
        return
    output.say(f"Written to {made.folder}.  Start the broker:\n  mosquitto -c {made.configuration}")
    output.say("Tell the gateway, in sensorline.toml:\n  [gateway.mqtt]")
    for name, value in made.settings.items():
        output.say(f'  {name} = "{value}"')
    output.say(f"Keep accounts equal:\n  sensorline mqtt sync --watch --file {made.accounts}")
    output.remark("note: a broker that is started as root runs as the user mosquitto, who must own the folder")
    if not made.is_loopback:
        output.remark(f"note: {host} is open to others: tokens would travel in the clear; set up TLS in the file first")


@app.command()
def sync(
    watch: Annotated[bool, typer.Option("--watch", help="Go on for ever; else once.")] = False,
    every_s: Annotated[float, typer.Option("--every-s", min=0.5, help="With --watch: seconds between looks.")] = (
        SYNC_EVERY_S
    ),
    file: Annotated[
        Path | None,
        typer.Option("--file", help="The broker's dynamic-security.json, for accounts whose tokens nobody knows."),
    ] = None,
    restart_command: Annotated[
        str, typer.Option("--restart-command", help="Starts the broker again, e.g. 'systemctl restart mosquitto'.")
    ] = "",
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
    sets: Sets = None,
) -> None:
    """Make the broker's accounts equal to the devices' tokens: end what is revoked, expired or deleted, at once."""
    from sensorline import loop
    from sensorline.api import Api, find_key
    from telemetry.errors import Misconfigured

    if restart_command and file is None:
        raise typer.BadParameter("it only helps after --file was written", param_hint="--restart-command")
    settings = load_settings(config, data_dir, sets=sets).settings
    try:
        from sensorline.mqtt_sync import Sync, asking
    except ModuleNotFoundError as e:
        raise Misconfigured(f"this needs {e.name!r}: pip install 'sensorline[mqtt]'") from e

    loop.log_to_stderr(settings.log_level)
    with Api(url or local_url(settings), find_key(key, settings.data_dir)) as api:
        work = Sync(settings.gateway.mqtt, asking(api), file=file, restart=restart_command)

        async def main(stop: "asyncio.Event") -> None:
            if watch:
                await _watch(work, stop, every_s, file, as_json=as_json)
            else:
                _say(await work.once(), file, as_json=as_json)

        loop.run(main)


async def _watch(work: "Sync", stop: "asyncio.Event", every_s: float, file: Path | None, *, as_json: bool) -> None:
    """Rounds for ever; a round that fails is said once and tried again."""
    import asyncio
    import contextlib

    from sensorline import output
    from telemetry.errors import SensorlineError

    said: object = None
    while not stop.is_set():
        try:
            done = await work.once()
        except SensorlineError as e:
            if said != e.message:
                output.remark(f"error: {e.message}; trying again every {every_s:g} s")
            said = e.message
        else:
            if done != said and not (said is None and done.is_nothing):
                _say(done, file, as_json=as_json)
            said = done
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await stop.wait()


def _say(done: "Done", file: Path | None, *, as_json: bool) -> None:
    from sensorline import output

    if as_json:
        output.json_line(done.as_dict())
        return
    if done.is_nothing:
        output.say("The broker has just the accounts that it should have.")
        return
    told = [
        f"{number} {what}"
        for number, what in (
            (done.deleted, "removed"),
            (done.changed, "mended"),
            (done.roles, "roles"),
            (done.loaded, "loaded by starting the broker again"),
        )
        if number
    ]
    if told:
        output.say(f"Accounts: {', '.join(told)}.")
    if done.waiting:
        where = "wait in its file" if file else "wait: give its dynamic-security.json with --file"
        output.say(f"{done.waiting} accounts {where}; the broker takes them when it is started again.")
    if done.without_verifier:
        output.say(f"{done.without_verifier} tokens are too old to be made accounts of: `sensorline device rotate`.")
