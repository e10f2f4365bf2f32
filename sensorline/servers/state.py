"""What `HOME/servers.json` remembers of each server: enough to find it, to start it alike, and to kill no other."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sensorline.servers.errors import ServersError


@dataclass(frozen=True)
class Entry:
    """One server: `started` is processes.identity of `pid`; `options` are its extra properties or settings."""

    pid: int
    started: str
    port: int
    heap: str
    options: dict[str, str] = field(default_factory=dict)


def path(home: Path) -> Path:
    return home / "servers.json"


def load(home: Path) -> dict[str, Entry]:
    """By server name; empty when nothing was ever started here."""
    try:
        text = path(home).read_text()
    except FileNotFoundError:
        return {}
    try:
        return {name: Entry(**entry) for name, entry in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ServersError(
            f"{path(home)} is not what this version writes ({error}): end its servers and delete it"
        ) from error


def save(home: Path, entries: dict[str, Entry]) -> None:
    """Whole or not at all: a crash in between leaves the former state."""
    fresh = path(home).with_suffix(".json.new")
    with fresh.open("w") as file:
        json.dump({name: asdict(entry) for name, entry in entries.items()}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path(home))
