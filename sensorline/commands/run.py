"""`sensorline up`, `gateway` and `consume`: the station's processes, until SIGINT or SIGTERM."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands._options import Config, DataDir, Host, Json, LogName, Port, Sets, StoreName, load_settings

if TYPE_CHECKING:
    from sensorline.station import Ready
    from telemetry.settings import Loaded, Settings

    Started = Callable[[Ready], None]


Https = Annotated[
    bool,
    typer.Option("--https", help="Make a local certificate, and listen for phones of this network."),
]


class Consumer(StrEnum):
    """What can be run as a consumer."""

    INDEX = "index"
    LEDGER = "ledger"
    DETECT = "detect"
    WINDOWS = "windows"
    ANOMALIES = "anomalies"
    ALERT = "alert"


def up(
    config: Config = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    log: LogName = None,
    store: StoreName = None,
    https: Https = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Run everything in one process: gateway, consumers, retention."""
    from sensorline import station

    loaded = load_settings(config, data_dir, host=host, port=port, log=log, store=store, sets=sets)
    settings = _with_certificate(loaded, https, as_json=as_json)
    _run(settings, as_json, lambda started, stop: station.run_up(settings, on_ready=started, stop=stop))


def gateway(
    config: Config = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    log: LogName = None,
    store: StoreName = None,
    https: Https = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Run a gateway alone (Kafka and Elasticsearch); as many as are wanted."""
    from sensorline import station

    loaded = load_settings(config, data_dir, host=host, port=port, log=log, store=store, sets=sets)
    settings = _with_certificate(loaded, https, as_json=as_json)
    _run(settings, as_json, lambda started, stop: station.run_gateway(settings, on_ready=started, stop=stop))


def consume(
    name: Annotated[Consumer, typer.Argument(help="Which consumer.")],
    config: Config = None,
    data_dir: DataDir = None,
    log: LogName = None,
    store: StoreName = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Run a consumer alone (Kafka and Elasticsearch); as many as there are partitions."""
    from sensorline import station

    settings = load_settings(config, data_dir, log=log, store=store, sets=sets).settings
    _run(
        settings, as_json, lambda started, stop: station.run_consumer(name.value, settings, on_ready=started, stop=stop)
    )


def _with_certificate(loaded: "Loaded", https: bool, *, as_json: bool) -> "Settings":
    """The settings, with the files of a local certificate where one is wanted; says how a phone trusts it."""
    settings = loaded.settings
    if not (https or settings.gateway.local_https) or settings.gateway.certfile:
        return settings
    from sensorline import https as local_https

    settings, files = local_https.with_certificate(loaded)
    if not as_json:
        local_https.say_how_to_trust(settings.gateway.public_url, files.fingerprint)
    return settings


def _run(settings: "Settings", as_json: bool, work: "Callable[[Started, asyncio.Event], Awaitable[None]]") -> None:
    from sensorline import loop, private_file

    loop.log_to_stderr(settings.log_level)
    private_file.shut_out_others()  # the log and the store hold hashes of passwords, and positions

    def started(ready: "Ready") -> None:
        _announce(ready, settings, as_json=as_json)

    async def main(stop: asyncio.Event) -> None:
        await work(started, stop)

    loop.run(main)


def _announce(ready: "Ready", settings: "Settings", *, as_json: bool) -> None:
    from sensorline import output
    from telemetry.people import FIRST_PERSON, PASSWORD_FILE

    if as_json:
        told = {"url": ready.url, "operator_key": ready.operator_key, "password": ready.password}
        output.json_line(told | {"key_file": str(ready.key_file), "pid": ready.pid})
        return
    where = f" at {ready.url}" if ready.url else ""
    output.say(
        f"Ready{where}  (log {settings.log}, store {settings.store}, data in {settings.data_dir}, pid {ready.pid})"
    )
    if ready.operator_key:
        output.say(f"Operator's key, shown this once and kept in {ready.key_file}:  {ready.operator_key}")
    if ready.password:
        file = settings.data_dir / PASSWORD_FILE
        output.say(f"Log in at {ready.url} as {FIRST_PERSON} with {ready.password}  (kept in {file})")
    output.say("Stop with Ctrl-C.")
