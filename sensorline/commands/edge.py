"""`sensorline edge`: the agent on a Pi and all around it."""

import typer

from sensorline.commands import edge_enroll, edge_run, edge_setup

app = typer.Typer(help="The agent of a Pi: configure, check, run, ask how it is.", no_args_is_help=True)
app.command("init")(edge_setup.init)
app.command("check")(edge_setup.check)
app.command("enroll")(edge_enroll.enroll)
app.command("run")(edge_run.run)
app.command("status")(edge_run.status)
app.command("aside")(edge_run.aside)
