"""`sensorline simulate` and `verify`: a fleet with a ledger of all that it handed over, and the comparison."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Url, load_settings, local_url

if TYPE_CHECKING:
    from simulator.disturbances import Happening
    from simulator.reconcile import Report

CaFile = Annotated[
    Path | None, typer.Option("--cafile", help="CA of the station's certificate.", exists=True, dir_okay=False)
]


class Dialect(StrEnum):
    """What the devices speak."""

    NATIVE = "native"
    SENSOR_LOGGER = "sensor_logger"
    OWNTRACKS = "owntracks"
    BOTH = "both"


def simulate(
    ledger: Annotated[Path, typer.Option("--ledger", help="File that keeps what was handed over, for `verify`.")],
    devices: Annotated[int, typer.Option("--devices", min=1, max=10_000)] = 20,
    seconds: Annotated[
        int | None, typer.Option("--seconds", min=1, help="Of the devices' time.", show_default="until Ctrl-C")
    ] = None,
    dialect: Annotated[Dialect, typer.Option("--dialect")] = Dialect.BOTH,
    speed: Annotated[float, typer.Option("--speed", min=0, help="1 = real time, 0 = as fast as possible.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same readings.")] = 0,
    prefix: Annotated[str, typer.Option("--prefix", help="Beginning of the devices' names.")] = "sim",
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            help="What `device add --json` wrote; instead of an operator's key.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    disturb: Annotated[
        str, typer.Option("--disturb", metavar="fall,stuck,...", help="What befalls the devices, by chance.")
    ] = "",
    disturb_a_minute: Annotated[float, typer.Option("--disturb-a-minute", min=0, help="How often, a device.")] = 1.0,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="File for what befalls which device when, a JSON line each.")
    ] = None,
    drain_s: Annotated[float, typer.Option("--drain-s", min=0, help="Seconds to send the rest at the end.")] = 60.0,
    cafile: CaFile = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Run a simulated fleet against a station; exit code 1 when something could not be delivered."""
    from sensorline import loop, output
    from sensorline.api import find_key
    from simulator import fleet
    from simulator.enrol import read_tokens
    from telemetry.errors import Misconfigured

    settings = load_settings(config, data_dir).settings
    asked = fleet.FleetConfig(
        url=url or local_url(settings),
        ledger=ledger,
        devices=devices,
        seconds=seconds,
        speed=speed,
        seed=seed,
        dialect=dialect.value,
        tokens=read_tokens(tokens) if tokens else None,
        key=find_key(key, settings.data_dir),
        prefix=prefix,
        drain_s=drain_s,
        cafile=_text(cafile),
        disturb=tuple(kind for kind in disturb.split(",") if kind),
        disturb_a_minute=disturb_a_minute,
    )
    _wait_until_up(asked.url, cafile)
    with output.status("simulating") as show:

        def seen(now: fleet.Progress) -> None:
            show(f"{now.elapsed_s:.0f} s: {now.sent:,} readings acknowledged, {now.pending:,} pending {now.alarm}")

        def planned(happenings: "list[Happening]") -> None:
            if truth is not None:
                truth.write_text("".join(json.dumps(asdict(one)) + "\n" for one in happenings))

        try:
            result = loop.run(lambda stop: fleet.run(asked, on_progress=seen, on_planned=planned, stop=stop))
        except OSError as e:
            raise Misconfigured(f"{e.filename or ledger} cannot be written ({e.strerror}): choose another file") from e
    if as_json:
        output.json_line(result.to_dict())
    else:
        tally = result.tally
        typer.echo(
            f"{result.devices} devices sent {tally.sent:,} readings in {tally.batches:,} batches "
            f"in {result.wall_s:.0f} s; "
            f"{tally.set_aside:,} set aside, {tally.unsent:,} unsent {tally.alarm}".rstrip()
        )
    if result.tally.set_aside or result.tally.unsent:
        raise typer.Exit(1)


def verify(
    ledger: Annotated[
        Path, typer.Option("--ledger", help="What `simulate` kept.", exists=True, dir_okay=False, readable=True)
    ],
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds that what was just acknowledged may still be on its way.")
    ] = 60.0,
    cafile: CaFile = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Prove that what was acknowledged is stored, once, unchanged; exit code 0 only then."""
    import asyncio

    from sensorline import output
    from sensorline.api import find_key
    from simulator.verify import verify as compare
    from telemetry.errors import Unauthorised

    settings = load_settings(config, data_dir).settings
    found = find_key(key, settings.data_dir)
    if found is None:
        raise Unauthorised("an operator's key is needed: give --key, SENSORLINE_KEY, or the station's --data-dir")
    station = url or local_url(settings)
    _wait_until_up(station, cafile)
    with output.progress("comparing sessions") as move:
        comparison = compare(ledger, station, found, wait_s=wait_s, cafile=_text(cafile), on_progress=move)
        report = asyncio.run(comparison)
    if as_json:
        output.json_line(report.to_dict())
    else:
        say(report)
    if not report.is_clean:
        raise typer.Exit(1)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _wait_until_up(url: str, cafile: Path | None) -> None:
    """Better one clear line now than a minute of patience with nobody."""
    from sensorline.api import START_WAIT_S, Api

    with Api(url, None, cafile=_text(cafile)) as api:
        api.wait_until_up(START_WAIT_S)


def say(report: "Report") -> None:
    """The comparison for a person."""
    from sensorline import output

    output.say(
        f"sent {report.sent:,}  stored {report.stored:,}  lost {report.lost_acked:,}  doubled {report.dup_stored:,}  "
        f"corrupt {report.corrupt:,}  unaccounted {report.unaccounted:,}  (readings)"
    )
    others = ("summarised", "expired", "dead_lettered", "set_aside", "dropped", "unsent", "unchecked")
    rest = {name.replace("_", " "): getattr(report, name) for name in others if getattr(report, name)}
    if rest:
        output.say(f"besides: {output.plain(rest)}")
