"""`sensorline edge`: the agent on a Pi and all around it."""

import typer

app = typer.Typer(help="The agent of a Pi: configure, check, run, ask how it is.", no_args_is_help=True)
