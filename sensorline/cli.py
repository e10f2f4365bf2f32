"""The command line: every command in its group, and every error as one line with the mend.

Exit code 0 means done, 1 that something is wrong and was said, 2 that the command was not understood.
"""

from importlib.metadata import version as installed_version
from typing import Any

import typer
from typer.core import TyperGroup

from sensorline.commands import (
    alerts,
    anomalies,
    config,
    data,
    deadletters,
    demo,
    detection,
    device,
    doctor,
    edge,
    kibana,
    labels,
    mqtt,
    person,
    run,
    servers,
    simulate,
)
from sensorline.commands._options import Json
from telemetry.errors import SensorlineError


class Guarded(TyperGroup):
    """Turns the errors that cross our boundaries into one line and exit code 1; a traceback is a bug of ours."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; `ctx` is a click context, of click or of typer's own copy of it."""
        try:
            return super().invoke(ctx)
        except SensorlineError as e:
            message = " ".join(e.message.split())
        except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
            message = ""
        if message:
            typer.echo(f"error: {message}", err=True)
        raise typer.Exit(1)


app = typer.Typer(
    name="sensorline",
    cls=Guarded,
    help="Sensor readings from phones and Pis, found again, once.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

TRY, RUN, DEVICES, DATA, DETECT, CARE = "Try it", "Run it", "Devices", "Data", "Anomalies", "Care"

app.command("demo", rich_help_panel=TRY)(demo.demo)
app.command("simulate", rich_help_panel=TRY)(simulate.simulate)
app.command("verify", rich_help_panel=TRY)(simulate.verify)
app.add_typer(servers.app, name="servers", rich_help_panel=TRY)
app.command("up", rich_help_panel=RUN)(run.up)
app.command("gateway", rich_help_panel=RUN)(run.gateway)
app.command("consume", rich_help_panel=RUN)(run.consume)
app.add_typer(person.app, name="person", rich_help_panel=RUN)
app.add_typer(device.app, name="device", rich_help_panel=DEVICES)
app.add_typer(edge.app, name="edge", rich_help_panel=DEVICES)
app.add_typer(mqtt.app, name="mqtt", rich_help_panel=DEVICES)
app.command("export", rich_help_panel=DATA)(data.export)
app.command("backup", rich_help_panel=DATA)(data.backup)
app.command("restore", rich_help_panel=DATA)(data.restore)
app.command("migrate", rich_help_panel=DATA)(data.migrate)
app.add_typer(anomalies.app, name="anomalies", rich_help_panel=DATA)
anomalies.app.command("ack")(labels.ack)
anomalies.app.command("label")(labels.label)
app.command("windows", rich_help_panel=DATA)(anomalies.windows)
app.add_typer(deadletters.app, name="deadletters", rich_help_panel=DATA)
app.add_typer(kibana.app, name="kibana", rich_help_panel=DATA)
app.add_typer(alerts.app, name="alerts", rich_help_panel=DETECT)
app.command("score", rich_help_panel=DETECT)(detection.score)
app.command("evaluate", rich_help_panel=DETECT)(detection.evaluate)
app.command("doctor", rich_help_panel=CARE)(doctor.doctor)
app.add_typer(config.app, name="config", rich_help_panel=CARE)


@app.command("version", rich_help_panel=CARE)
def version(as_json: Json = False) -> None:
    """Say which version this is."""
    from sensorline import output

    number = installed_version("sensorline")
    if as_json:
        output.json_line({"version": number})
    else:
        typer.echo(f"sensorline {number}")


def main() -> None:
    """Run the command line."""
    app()
