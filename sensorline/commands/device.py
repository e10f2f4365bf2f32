"""`sensorline device`: who may send, and with which token."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands import device_settings
from sensorline.commands._options import Config, DataDir, Json, Key, Url, load_settings, local_url, open_api
from telemetry.errors import SensorlineError

if TYPE_CHECKING:
    from sensorline.answers import Device, Issued

app = typer.Typer(help="Register, list, rotate, revoke and delete devices.", no_args_is_help=True)
app.command("settings")(device_settings.settings)

Name = Annotated[str, typer.Argument(help="The device.")]
PublicUrl = Annotated[
    str | None,
    typer.Option("--public-url", help="What the phone is told.", show_default="gateway.public_url, else the station"),
]
Png = Annotated[
    Path | None, typer.Option("--png", help="Save the QR code as a picture too; {device} is replaced by the name.")
]
NoQr = Annotated[bool, typer.Option("--no-qr", help="Print no QR code.")]


class App(StrEnum):
    """The phone apps that a QR code sets up."""

    SENSOR_LOGGER = "sensor-logger"
    OWNTRACKS = "owntracks"


ForApp = Annotated[App, typer.Option("--app", help="The phone app that the QR code is for.")]


@app.command()
def add(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Devices to register.")],
    platform: Annotated[
        str | None, typer.Option("--platform", help="android or ios: how a phone's readings are to be understood.")
    ] = None,
    standardised: Annotated[
        bool | None,
        typer.Option("--standardised/--not-standardised", help="The app's 'standardise units & frames'."),
    ] = None,
    public_url: PublicUrl = None,
    png: Png = None,
    no_qr: NoQr = False,
    for_app: ForApp = App.SENSOR_LOGGER,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Register devices; each token is shown this once, with a QR code that sets the phone's app up."""
    if png and len(names) > 1 and "{device}" not in str(png):
        raise typer.BadParameter("for several devices write {device} in the file's name", param_hint="--png")
    told = public_url or _public_url(url, config, data_dir)
    failed = 0
    with open_api(url, key, config, data_dir) as api:
        for name in names:
            try:
                issued = api.add_device(name, platform=platform, standardised=standardised)
            except SensorlineError as e:
                if len(names) == 1 or e.retryable or e.status in (401, 403):
                    raise
                typer.echo(f"error: {name}: {e.message}", err=True)  # the others are still wanted
                failed += 1
            else:
                _show(issued, told, for_app, png, qr=not no_qr, as_json=as_json)
    if failed:
        raise typer.Exit(1)


@app.command()
def code(
    name: Name,
    public_url: PublicUrl = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Get a code that a Pi exchanges for its token: good once, for ten minutes.  The device need not exist yet."""
    import msgspec

    from sensorline import output

    told = public_url or _public_url(url, config, data_dir)
    with open_api(url, key, config, data_dir) as api:
        made = api.offer_code(name)
    if as_json:
        output.json_line(msgspec.to_builtins(made))
        return
    typer.echo(f"{made.device}: {made.code}, good once and until {output.when(made.expires_ns)}.  On the Pi:")
    typer.echo(f"  sensorline edge enroll {told} {made.code}")


@app.command("list")
def list_devices(
    as_json: Json = False, url: Url = None, key: Key = None, config: Config = None, data_dir: DataDir = None
) -> None:
    """List devices, registered or only seen in the store."""
    import msgspec

    from sensorline import output

    with open_api(url, key, config, data_dir) as api:
        devices = api.devices()
    if as_json:
        for device in devices:
            output.json_line(msgspec.to_builtins(device))
        return
    rows = [
        (d.device, _state(d), d.platform, d.readings, output.when(d.last_ns), ", ".join(d.sensors)) for d in devices
    ]
    columns = ("device", "tokens", "platform", "readings", "last reading", "sensors")
    output.table(columns, rows, empty="No devices yet: `sensorline device add NAME` registers one.")


@app.command()
def rotate(
    name: Name,
    overlap_s: Annotated[float, typer.Option("--overlap-s", min=0, help="Seconds that the old token lives on.")] = 3600,
    public_url: PublicUrl = None,
    png: Png = None,
    no_qr: NoQr = False,
    for_app: ForApp = App.SENSOR_LOGGER,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Give a device a new token; the old one ends after the overlap."""
    told = public_url or _public_url(url, config, data_dir)
    with open_api(url, key, config, data_dir) as api:
        issued = api.rotate(name, overlap_s=overlap_s)
    _show(issued, told, for_app, png, qr=not no_qr, as_json=as_json)


@app.command()
def revoke(
    name: Name,
    token_id: Annotated[str | None, typer.Option("--token-id", help="Only this token.", show_default="all")] = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """End a device's tokens: within 5 seconds no gateway takes them any more.  Its readings stay."""
    from sensorline import output

    with open_api(url, key, config, data_dir) as api:
        revoked = api.revoke(name, token_id=token_id)
    if as_json:
        output.json_line({"device": name, "revoked": revoked})
    else:
        typer.echo(f"{name}: {revoked} token(s) revoked; `sensorline device rotate {name}` gives a new one.")


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a device and all of its readings, for good."""
    import msgspec

    from sensorline import output

    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {name} and all of its readings, for good?")):
        raise typer.BadParameter("nothing was deleted: say --yes", param_hint="--yes")
    with open_api(url, key, config, data_dir) as api:
        deleted = api.delete_device(name)
    if as_json:
        output.json_line(msgspec.to_builtins(deleted))
    else:
        typer.echo(
            f"{name}: {deleted.rows:,} rows removed, unreadable from now on; "
            f"its bytes leave the log by {deleted.log_clean_by}."
        )


def _public_url(url: str | None, config: Path | None, data_dir: Path | None) -> str:
    settings = load_settings(config, data_dir).settings
    return settings.gateway.public_url or url or local_url(settings)


def _show(issued: "Issued", url: str, for_app: App, png: Path | None, *, qr: bool, as_json: bool) -> None:
    from sensorline import output
    from sensorline import qr as codes
    from telemetry import set_up
    from telemetry.loopback import is_loopback_url

    if for_app is App.OWNTRACKS:
        name, path = "OwnTracks (HTTP mode; the token is the password)", set_up.OWNTRACKS_PATH
        address = set_up.owntracks_address(url, issued.device, issued.token)
    else:
        name, path = "Sensor Logger", set_up.SENSOR_LOGGER_PATH
        address = set_up.sensor_logger_address(url, issued.token)
    if png:
        file = Path(str(png).replace("{device}", issued.device))
        _save(address, file)
        output.remark(f"QR code saved as {file}")
    if as_json:
        output.json_line({"device": issued.device, "token": issued.token})
        return
    typer.echo(f"{issued.device}\n  URL    {url.rstrip('/')}{path}\n  token  {issued.token}")
    typer.echo(f"  The token is shown this once.  In {name}, scan this (or enter both by hand):")
    if qr:
        typer.echo(codes.terminal(address, colours=sys.stdout.isatty()))
    if is_loopback_url(url):
        output.remark("note: a phone cannot reach this loopback address: give the station's with --public-url")


def _save(address: str, file: Path) -> None:
    from sensorline import private_file
    from sensorline import qr as codes
    from telemetry.errors import Misconfigured

    try:
        with private_file.replacing(file) as made:  # the picture holds the token
            codes.save_png(address, made)
    except OSError as e:
        raise Misconfigured(f"{file} cannot be written ({e.strerror}): choose another --png") from e


def _state(device: "Device") -> str:
    if not device.registered:
        return "not registered"
    live = [t for t in device.tokens if t.revoked_ns is None]
    return f"{len(live)} live" if live else "revoked"
