"""`sensorline servers`: real Kafka and Elasticsearch as local processes, for trying and testing."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sensorline.commands._options import Json
from telemetry.errors import Misconfigured

app = typer.Typer(
    help="Real Kafka and Elasticsearch as local processes on loopback, for trying and testing.", no_args_is_help=True
)
T = TypeVar("T")

Home = Annotated[Path, typer.Option("--home", help="Folder of their data, logs and state.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="kafka or elasticsearch; may be repeated.", show_default="both")
]
HOME = Path("var/servers")


@app.command()
def up(
    home: Home = HOME,
    only: Only = None,
    kafka_port: Annotated[
        int | None, typer.Option("--kafka-port", help="0 for a free one.", show_default="19092")
    ] = None,
    elasticsearch_port: Annotated[
        int | None, typer.Option("--elasticsearch-port", help="0 for a free one.", show_default="19200")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start them; the first time fetches their jars.  They have no password: never expose them."""
    from sensorline import output, servers

    running = _told(lambda: servers.up(home, _which(only), kafka_port, elasticsearch_port, output.remark))
    if as_json:
        output.json_line(json.loads(json.dumps(asdict(running), default=str)))
        return
    typer.echo(f"Kafka          {running.bootstrap or '(not running)'}")
    typer.echo(f"Elasticsearch  {running.elasticsearch_url or '(not running)'}")
    flags = (
        f"--set adapters.kafka.bootstrap={running.bootstrap} "
        f"--set 'adapters.elasticsearch.urls=[\"{running.elasticsearch_url}\"]'"
    )
    typer.echo(f"Use them:      sensorline up --log kafka --store elasticsearch {flags}")


@app.command()
def down(home: Home = HOME, only: Only = None, as_json: Json = False) -> None:
    """Stop them; their data stays."""
    from sensorline import output, servers

    stopped = _told(lambda: servers.down(home, output.remark, _which(only)))
    if as_json:
        output.json_line({"stopped": stopped})
    elif not stopped:
        typer.echo("Nothing runs here.")


@app.command()
def status(home: Home = HOME, as_json: Json = False) -> None:
    """Say which of them run."""
    from sensorline import output, servers

    known = _told(lambda: servers.status(home))
    if as_json:
        answer: dict[str, Any] = {name: asdict(each) | {"log": str(each.log)} for name, each in known.items()}
        output.json_line(answer)
        return
    rows = [(name, each.state, str(each.port), str(each.pid or ""), str(each.log)) for name, each in known.items()]
    output.table(("server", "state", "port", "pid", "log"), rows, empty="Nothing was started here.")


def _which(only: list[str] | None) -> tuple[str, ...]:
    return tuple(only or ("kafka", "elasticsearch"))


def _told(work: Callable[[], T]) -> T:
    """The servers' own exception as one of ours."""
    from sensorline.servers import ServersError

    try:
        return work()
    except ServersError as e:
        raise Misconfigured(str(e)) from e
