"""What an edge keeps of its downloaded settings: one small file, replaced whole, that a power cut leaves old or new."""

import logging
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telemetry import failpoints
from telemetry.durable import sync_folder
from telemetry.errors import Misconfigured
from telemetry.remote_settings import NO_CHANGES, Versioned

logger = logging.getLogger(__name__)

FILE = "remote.json"
FILE_BYTES_MAX = 64 * 1024


class State(BaseModel):
    """`in_force` went through its probation; `trial` has not yet; `starts` counts the agent's with that trial."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    v: int = Field(1, ge=1, le=1)
    in_force: Versioned = NO_CHANGES
    trial: Versioned | None = None
    starts: int = 0
    failed: int | None = None
    reason: str = ""


def load(folder: Path) -> State:
    """The state as last saved; a file that makes no sense is set aside, and the edge's own settings hold alone."""
    file = folder / FILE
    try:
        return read(folder)
    except Misconfigured as e:
        aside = file.with_suffix(".unreadable")
        logger.error("%s; it was set aside as %s", e.message, aside.name)  # noqa: TRY400 - the text says it all
        file.replace(aside)
        return State()


def read(folder: Path) -> State:
    """The state as last saved, the first one where there is none; raises `Misconfigured` for garbage, and `OSError`."""
    try:
        with (folder / FILE).open("rb") as opened:
            return State.model_validate_json(opened.read(FILE_BYTES_MAX))
    except FileNotFoundError:
        return State()
    except ValidationError as e:
        why = e.errors(include_url=False, include_input=False)[0]["msg"]
        raise Misconfigured(f"{folder / FILE} makes no sense: {why}") from e


def save(folder: Path, state: State) -> None:
    """Durable on return; raises `OSError`, and then the state of before is still there."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    with part.open("wb") as opened:
        opened.write(state.model_dump_json(exclude_none=True).encode())
        opened.flush()
        failpoints.passing("edge.remote_before_sync")
        os.fsync(opened.fileno())
    failpoints.passing("edge.remote_before_replace")
    part.replace(folder / FILE)
    failpoints.passing("edge.remote_after_replace")
    sync_folder(folder)  # or the new name may be lost with the power
