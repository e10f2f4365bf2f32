"""`sensorline deadletters`: what could not be stored, why, and once more from the log."""

from typing import Annotated

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Url, open_api

app = typer.Typer(help="List and replay records that could not be stored.", no_args_is_help=True)


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 100,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """List dead letters."""
    import msgspec

    from sensorline import output

    with open_api(url, key, config, data_dir) as api:
        letters = api.deadletters(limit=limit)
    if as_json:
        for letter in letters:
            output.json_line(msgspec.to_builtins(letter))
        return
    rows = [
        (m.id, output.when(m.at_ns), m.reason, m.key, m.session, m.seq, "yes" if m.replayed else "", m.detail)
        for m in letters
    ]
    columns = ("id", "since", "reason", "device", "session", "seq", "replayed", "detail")
    output.table(columns, rows, empty="No dead letters.")


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `list` shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were not replayed yet.")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Send dead letters back to their topic, once what was wrong is mended."""
    import msgspec

    from sensorline import output

    if bool(ids) == everything:
        raise typer.BadParameter("give ids, or --all", param_hint="ID")
    with open_api(url, key, config, data_dir) as api:
        done = api.replay(None if everything else ids)
    if as_json:
        output.json_line(msgspec.to_builtins(done))
    else:
        typer.echo(f"{done.replayed} replayed, {done.skipped} skipped (replayed before, or no longer kept)")
