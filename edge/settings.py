"""Settings of an edge: one TOML file, read whole and checked before anything starts.

Each source and the transport have options of their own, checked against the `Config` in their file.  Environment
variables are not read: a Pi has one file, and `edge check` says what is wrong in it.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge.batcher import PERIOD_S, SIZE_BYTES_MAX
from telemetry.batch import READINGS_MAX, is_name
from telemetry.errors import Misconfigured

FILE_DEFAULT = Path("edge.toml")
OnFull = Literal["block", "drop_oldest", "drop_newest"]


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("a name is 1 to 64 of A-Z a-z 0-9 _ . -")
    return text


Name = Annotated[str, AfterValidator(_name)]


class Section(BaseModel):
    """A group of settings; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchSettings(Section):
    """When readings become a batch."""

    period_s: float = Field(PERIOD_S, gt=0, le=3600)
    size_bytes_max: int = Field(SIZE_BYTES_MAX, ge=1024, le=8 * 2**20)
    readings_max: int = Field(READINGS_MAX, gt=0, le=READINGS_MAX)


class SpoolSettings(Section):
    """The spool's file."""

    size_bytes_max: int = Field(2**30, ge=2**20, description="of the file; beyond it `on_full` decides")
    on_full: OnFull = "drop_oldest"
    commit_period_s: float = Field(5.0, ge=0, le=300, description="readings of this long share one write to the card")
    commit_bytes_max: int = Field(2**20, ge=2**16, description="or this many bytes, whichever comes first")
    disk_free_bytes_min: int = Field(64 * 2**20, ge=0, description="count as full when the disk has less left")
    aside_bytes_max: int = Field(16 * 2**20, ge=0, description="of refused batches that are kept for a person")


class LaneSettings(Section):
    """Live first, the backlog behind it."""

    backlog_bytes_per_s: float = Field(256 * 1024, gt=0, description="canonical bytes")
    outage_s: float = Field(600.0, gt=0, description="unanswered for longer: a new session, the rest is backlog")


class ClockSettings(Section):
    """What happens until the clock was set."""

    unsynchronised_wait_s: float = Field(
        120.0, ge=0, description="after the machine's start: hold readings back until its clock is set, to stamp right"
    )
    step_s: float = Field(0.5, gt=0, description="a larger difference to the wall clock is a step: a new session")


class SourceSettings(BaseModel):
    """One source; what is not named here are its own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    enabled: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """For the `Config` of the source's file."""
        return dict(self.model_extra or {})


class EdgeSettings(Section):
    """Everything of one edge.  Relative paths start at `folder`, the file's own."""

    device: Name
    data_dir: Path = Path("edge-data")
    token_file: Path = Path("edge.token")
    transport: str = "http"
    adapters: dict[str, dict[str, Any]] = Field(default_factory=dict, description="the transports' own settings")
    batch: BatchSettings = BatchSettings()
    spool: SpoolSettings = SpoolSettings()
    lanes: LaneSettings = LaneSettings()
    clock: ClockSettings = ClockSettings()
    sources: dict[Name, SourceSettings] = Field(default_factory=dict)
    log_level: str = "info"
    folder: Path = Field(Path(), exclude=True)

    def path(self, given: Path) -> Path:
        """Absolute, or from the configuration file's folder."""
        return self.folder / given


def load(file: Path) -> EdgeSettings:
    """Raises `Misconfigured` with the setting's path."""
    try:
        document = tomllib.loads(file.read_text())
    except FileNotFoundError as e:
        raise Misconfigured(f"there is no {file}: make one with `sensorline edge init`") from e
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Misconfigured(f"{file}: {e}") from e
    return parse(document, folder=file.absolute().parent, name=str(file))


def parse(document: dict[str, Any], *, folder: Path, name: str = "edge settings") -> EdgeSettings:
    """Settings of a decoded document; raises `Misconfigured`."""
    try:
        return EdgeSettings.model_validate({**document, "folder": folder})
    except ValidationError as e:
        first = e.errors()[0]
        path = ".".join(map(str, first["loc"]))
        raise Misconfigured(f"{name}: setting {path}: {first['msg']}", path=path) from e
