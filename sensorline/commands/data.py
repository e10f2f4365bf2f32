"""`sensorline export`, `backup`, `restore`, `migrate`: data out of a station, back into one, on to the other engine."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sensorline.commands._options import (
    Config,
    DataDir,
    Json,
    Key,
    LogName,
    Sets,
    StoreName,
    Url,
    assignments,
    load_settings,
    open_api,
)


class Format(StrEnum):
    """What the station can write."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"
    GPX = "gpx"
    GEOJSON = "geojson"


def export(
    device: Annotated[str, typer.Option("--device", help="Whose readings.")],
    form: Annotated[Format, typer.Option("--format", help="gpx and geojson: the track.")] = Format.CSV,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; - is standard output.", show_default="DEVICE.FORMAT"),
    ] = None,
    session: Annotated[str | None, typer.Option("--session", help="Only this session.")] = None,
    sensor: Annotated[str | None, typer.Option("--sensor", help="Only this sensor.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="From this time (ISO 8601 or UTC nanoseconds).")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Until before this time.")] = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write a device's readings into a file."""
    from sensorline import files, output

    asked = {"session": session, "sensor": sensor, "from": start, "to": end}
    params = {"device": device, "format": form.value} | {name: text for name, text in asked.items() if text}
    target = out or Path(f"{device}.{form.value}")
    with open_api(url, key, config, data_dir) as api:
        size = files.save(api.save("/v1/export", params), target, f"exporting {device}")
    if str(target) == "-":
        return
    if as_json:
        output.json_line({"device": device, "file": str(target), "size_bytes": size})
    else:
        typer.echo(f"{target}: {size:,} bytes")


def backup(
    file: Annotated[Path, typer.Argument(help="File to write (zstd).")],
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write devices, labels and every stored batch into one file, while the station runs."""
    from sensorline import files, output, restore

    with open_api(url, key, config, data_dir) as api:
        size = files.save(api.save("/v1/backup", {}), file, "backing up", private=True)
    counts = restore.check(file)
    if as_json:
        output.json_line({"file": str(file), "size_bytes": size, "records": counts})
    else:
        typer.echo(f"{file}: {size:,} bytes, read back whole: {output.plain(counts)}")
        typer.echo("It holds credentials (hashed) and positions: keep it as you keep the station.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `sensorline backup` wrote.", exists=True, dir_okay=False)],
    config: Config = None,
    data_dir: DataDir = None,
    log: LogName = None,
    store: StoreName = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Put a backup into a station that has no batches yet and does not run; the next start indexes it."""
    import asyncio

    from sensorline import output, private_file
    from sensorline import restore as work
    from telemetry.enrolment import KEY_FILE

    settings = load_settings(config, data_dir, log=log, store=store, sets=sets).settings
    private_file.shut_out_others()
    counts = asyncio.run(work.restore(file, settings))
    if as_json:
        output.json_line({"file": str(file), "records": counts})
    else:
        typer.echo(f"Restored into the {settings.log} log: {output.plain(counts)}")
        typer.echo("Start the station: its consumers store the batches.")
    if not (settings.data_dir / KEY_FILE).exists():
        output.remark(f"note: the operators' keys are those of the backup: put its {KEY_FILE} into {settings.data_dir}")


def migrate(
    to_config: Annotated[
        Path | None, typer.Option("--to-config", help="Settings file of the other engine.", exists=True)
    ] = None,
    to_data_dir: Annotated[
        Path | None, typer.Option("--to-data-dir", help="Its data folder.", show_default="the source's")
    ] = None,
    to_log: Annotated[str | None, typer.Option("--to-log", help="Its log: sqlite or kafka.")] = None,
    to_sets: Annotated[
        list[str] | None, typer.Option("--to-set", metavar="PATH=VALUE", help="Any setting of it; may be repeated.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
    log: LogName = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Replay the kept log into another engine's; both stations must be stopped.  Run again, it goes on where it was.

    What the log no longer keeps, because of its retention, is not in it: `backup` and `restore` carry what the store
    has.
    """
    import asyncio

    from sensorline import migrate as work
    from sensorline import output, private_file

    if not (to_config or to_data_dir or to_log or to_sets):
        raise typer.BadParameter("say where to: --to-config FILE, or --to-log and --to-set", param_hint="--to-config")
    source = load_settings(config, data_dir, log=log, sets=sets).settings
    named = {"data_dir": to_data_dir and str(to_data_dir), "log": to_log}
    changes = {path: value for path, value in named.items() if value is not None} | assignments(to_sets, "--to-set")
    target = work.target_settings(source, to_config, changes)
    private_file.shut_out_others()
    moved = asyncio.run(work.migrate(source, target))
    if as_json:
        output.json_line(moved.as_json())
    else:
        rows = [(t.topic, t.copied, t.earlier, t.left_out) for t in moved.topics]
        output.table(("topic", "copied", "copied before", "left out"), rows, empty="The log is empty.")
        typer.echo(
            f"Migrated from {source.log} to {target.log}; start the new station: its consumers store the batches."
        )
