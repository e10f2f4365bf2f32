"""`sensorline device settings`: settings that an edge downloads, and what it reports of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Url, assignments, open_api
from telemetry.errors import Misconfigured

if TYPE_CHECKING:
    from sensorline.answers import DeviceSettings

Name = Annotated[str, typer.Argument(help="The device.")]


def settings(
    name: Name,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="batch_period_s, or sources.NAME.enabled, .rate_hz or .every_s; null takes it back.  May be repeated.",
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="First forget all: the edge's own file holds.")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show what an edge is to run with and what it reports, or give it other settings with its next batch."""
    from sensorline import output

    with open_api(url, key, config, data_dir) as api:
        now = api.device_settings(name)
        if sets or clear:
            before = {} if clear else {k: v for k, v in now.wanted.items() if k != "version"}
            now = api.change_device_settings(name, changed(before, assignments(sets)))
    if as_json:
        output.json_line(_shown(now))
    else:
        _show(now)


def changed(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The document with these paths set; null takes one back.  Values are read as JSON; the station checks them."""
    made: dict[str, Any] = before | {"sources": {name: dict(s) for name, s in before.get("sources", {}).items()}}
    for path, given in changes.items():
        parts = path.split(".")
        source = path.removeprefix("sources.").rpartition(".")
        if parts == ["batch_period_s"]:
            _put(made, "batch_period_s", given)
        elif parts[0] == "sources" and len(parts) >= 3 and source[2] in ("enabled", "rate_hz", "every_s"):
            _put(made["sources"].setdefault(source[0], {}), source[2], given)
        else:
            raise Misconfigured(f"{path} is no setting of an edge: batch_period_s, or e.g. sources.imu.rate_hz")
    made["sources"] = {name: source for name, source in made["sources"].items() if source}
    return made


def _put(where: dict[str, Any], name: str, given: Any) -> None:
    import json

    try:
        value = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        value = given  # the station says what is wrong with it
    if value is None:
        where.pop(name, None)
    else:
        where[name] = value


def _shown(now: "DeviceSettings") -> dict[str, Any]:
    import msgspec

    shown: dict[str, Any] = msgspec.to_builtins(now)
    return shown


def _show(now: "DeviceSettings") -> None:
    from sensorline import output

    rows: list[tuple[str, Any]] = []
    if now.wanted.get("batch_period_s") is not None:
        rows.append(("batch_period_s", now.wanted["batch_period_s"]))
    for source, options in now.wanted.get("sources", {}).items():
        rows += [(f"sources.{source}.{option}", value) for option, value in options.items()]
    typer.echo(f"{now.device}: version {now.wanted['version']} is wanted {output.when(now.wanted_at_ns)}".rstrip())
    output.table(("setting", "value"), rows, empty="  nothing over the edge's own file")
    typer.echo(_word(now))


def _word(now: "DeviceSettings") -> str:
    from sensorline import output

    said = now.reported
    if said is None:
        return "It has reported nothing yet."
    word = f"It reports version {said.in_force} in force since {output.when(said.at_ns)}"
    return f"{word}; version {said.failed} failed: {said.reason}" if said.failed is not None else word + "."
