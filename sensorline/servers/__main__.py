"""`python -m sensorline.servers up|down|status`: the same as `sensorline servers`, without the rest of the program."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sensorline import servers

DEFAULT_HOME = Path("var/servers")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m sensorline.servers", description=servers.__doc__.splitlines()[0])
    made.add_argument("action", choices=("up", "down", "status"))
    made.add_argument("--home", type=Path, default=DEFAULT_HOME, help="data, logs and state (default: %(default)s)")
    made.add_argument("--kafka-port", type=int, help="default 19092, 0 for a free one")
    made.add_argument("--elasticsearch-port", type=int, help="default 19200, 0 for a free one")
    made.add_argument("--only", choices=("kafka", "elasticsearch"), action="append", help="may be repeated")
    made.add_argument("--json", action="store_true", help="the answer as JSON on standard output")
    return made


def answer(arguments: argparse.Namespace) -> dict[str, Any]:
    which = arguments.only or ("kafka", "elasticsearch")
    if arguments.action == "up":
        return asdict(servers.up(arguments.home, which, arguments.kafka_port, arguments.elasticsearch_port, complain))
    if arguments.action == "down":
        return {"stopped": servers.down(arguments.home, complain, which)}
    return {name: asdict(status) for name, status in servers.status(arguments.home).items()}


def complain(line: str) -> None:
    """Progress goes to standard error: standard output is the answer."""
    print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        given = json.loads(json.dumps(answer(arguments), default=str))  # paths as text
    except servers.ServersError as error:
        complain(f"error: {error}")
        return 1
    if arguments.json:
        print(json.dumps(given))
    else:
        print("\n".join(f"{key}: {value}" for key, value in given.items()) or "nothing was started here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
