"""`sensorline alerts`: who is told of anomalies, and whether they can be."""

from typing import Annotated

import typer

from sensorline.commands._options import Config, DataDir, Json, Sets, load_settings

app = typer.Typer(help="Who is told of anomalies: list the channels, and test them.", no_args_is_help=True)


@app.command("list")
def list_channels(as_json: Json = False, config: Config = None, data_dir: DataDir = None, sets: Sets = None) -> None:
    """List the channels of these settings."""
    from consumers.alerts import open_channel
    from sensorline import output

    settings = load_settings(config, data_dir, sets=sets).settings.alerts
    found = [
        {"channel": name, "kind": options.get("channel", name), "target": open_channel(name, options).target}
        for name, options in settings.channels.items()
    ]
    if as_json:
        for one in found:
            output.json_line(one)
        return
    rows = [tuple(str(text) for text in one.values()) for one in found]
    output.table(("channel", "kind", "target"), rows, empty="No channels: nobody is told. See alerts.channels.")
    if found and not settings.enabled:
        output.remark("note: alerts.enabled is false: nobody is told")


@app.command()
def test(
    channels: Annotated[list[str] | None, typer.Argument(metavar="CHANNEL...", help="Only these.")] = None,
    as_json: Json = False,
    config: Config = None,
    data_dir: DataDir = None,
    sets: Sets = None,
) -> None:
    """Send a test alert through the channels of these settings, from this machine."""
    import asyncio

    from sensorline import alert_check, output
    from telemetry.errors import Misconfigured

    settings = load_settings(config, data_dir, sets=sets).settings.alerts
    if unknown := [name for name in channels or () if name not in settings.channels]:
        raise Misconfigured(f"there is no channel {unknown[0]!r}; there are: {', '.join(settings.channels) or 'none'}")
    if not settings.channels:
        raise Misconfigured("there is no channel: set alerts.channels.webhook, .mqtt or .email")
    results = asyncio.run(alert_check.check({n: settings.channels[n] for n in channels or settings.channels}))
    for name, error in results.items():
        if as_json:
            output.json_line({"channel": name, "delivered": not error, "error": error or None})
        else:
            output.say(f"{name}: {error or 'delivered'}")
    if any(results.values()):
        raise typer.Exit(1)
