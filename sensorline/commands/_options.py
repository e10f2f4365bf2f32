"""Options that several commands share, and what is made of them: settings, and a client of the station."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # each takes long to import
    from sensorline.api import Api
    from telemetry.settings import Loaded, Settings

STATION = "Station"
SETTINGS = "Settings"

Json = Annotated[bool, typer.Option("--json", help="Write JSON lines for machines.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file (TOML).", show_default="sensorline.toml", rich_help_panel=SETTINGS),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of key, log and store.", show_default="var", rich_help_panel=SETTINGS),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Any setting; may be repeated.", rich_help_panel=SETTINGS),
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", rich_help_panel=SETTINGS)]
Port = Annotated[int | None, typer.Option("--port", help="Port; 0 = any free one.", rich_help_panel=SETTINGS)]
LogName = Annotated[str | None, typer.Option("--log", help="sqlite or kafka.", rich_help_panel=SETTINGS)]
StoreName = Annotated[str | None, typer.Option("--store", help="duckdb or elasticsearch.", rich_help_panel=SETTINGS)]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="SENSORLINE_URL",
        help="The running station.",
        show_default="http://gateway.host:gateway.port of the settings",
        rich_help_panel=STATION,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="SENSORLINE_KEY",
        help="Operator's key (others of this machine can see it in a command: prefer the variable or the file).",
        show_default="the file operator.key in the data folder",
        show_envvar=True,
        rich_help_panel=STATION,
    ),
]


def load_settings(
    config: Path | None = None,
    data_dir: Path | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    log: str | None = None,
    store: str | None = None,
    sets: Sequence[str] | None = None,
) -> "Loaded":
    """The settings with these flags on top; raises `Misconfigured`."""
    from telemetry import settings

    named = {
        "data_dir": data_dir and str(data_dir),
        "gateway.host": host,
        "gateway.port": port,
        "log": log,
        "store": store,
    }
    flags = {path: value for path, value in named.items() if value is not None}
    return settings.load(config, flags | assignments(sets))


def open_api(url: str | None, key: str | None, config: Path | None, data_dir: Path | None) -> "Api":
    """A client of the station that flags, environment and settings name."""
    from sensorline.api import Api, find_key

    settings = load_settings(config, data_dir).settings
    where = url or local_url(settings)
    authority = settings.data_dir / "https" / "ca.crt"  # `--https` made it: trusted beside the public ones
    cafile = str(authority) if where.startswith("https://") and authority.exists() else None
    return Api(where, find_key(key, settings.data_dir), cafile=cafile)


def local_url(settings: "Settings") -> str:
    """Where the station of these settings answers on this machine."""
    gateway = settings.gateway
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(gateway.host, gateway.host)  # noqa: S104 - compared, not bound
    return f"{'https' if gateway.certfile or gateway.local_https else 'http'}://{host}:{gateway.port}"


def assignments(sets: Sequence[str] | None, flag: str = "--set") -> dict[str, Any]:
    """`a.b=1` -> {"a.b": "1"}; lists, objects, quoted texts and null are read as JSON."""
    made: dict[str, Any] = {}
    for text in sets or ():
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise typer.BadParameter(f"{text!r} is not PATH=VALUE, e.g. gateway.port=8081", param_hint=flag)
        try:
            made[path] = json.loads(value) if value == "null" or value.startswith(("[", "{", '"')) else value
        except ValueError as e:
            raise typer.BadParameter(f"{text!r}: not JSON ({e})", param_hint=flag) from e
    return made
