"""Settings that travel from the gateway to an edge, and the word on them that travels back; both ends check with this.

Down, as `settings` of a receipt:

    {"version": 8, "batch_period_s": 2.0, "sources": {"imu": {"enabled": true, "rate_hz": 50}}}

Up, beside each batch (`Beside.settings`): "8", or "7 failed=8 <reason>".  Version 0 is the edge's own file alone.
"""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from telemetry.batch import is_name
from telemetry.beside import TEXT_CHARS_MAX
from telemetry.errors import Invalid

SOURCES_MAX = 64
VERSION_MAX = 2**31 - 1
PERIOD_S_MAX = 3_600.0
RATE_HZ_MAX = 10_000.0
EVERY_S_MIN, EVERY_S_MAX = 0.01, 86_400.0
REASON_CHARS_MAX = 150

_REPORT = re.compile(r"([0-9]{1,10})(?: failed=([0-9]{1,10})(?: (.*))?)?")


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("a name is 1 to 64 of A-Z a-z 0-9 _ . -")
    return text


_NAME_SCHEMA = {"type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}$"}
Name = Annotated[str, AfterValidator(_name), WithJsonSchema(_NAME_SCHEMA)]


class _Checked(BaseModel):
    """Nothing is converted and nothing unknown is let in."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SourceChange(_Checked):
    """What is given is changed in one source; a source samples at `rate_hz` or polls `every_s`, as its kind is."""

    enabled: bool | None = None
    rate_hz: float | None = Field(None, gt=0, le=RATE_HZ_MAX)
    every_s: float | None = Field(None, ge=EVERY_S_MIN, le=EVERY_S_MAX)

    @property
    def given(self) -> dict[str, Any]:
        """Only what was given."""
        return self.model_dump(exclude_none=True)


class Changes(_Checked):
    """What lies over an edge's own file; empty: nothing does."""

    batch_period_s: float | None = Field(None, gt=0, le=PERIOD_S_MAX)
    sources: dict[Name, SourceChange] = Field(
        default_factory=dict,
        max_length=SOURCES_MAX,
        examples=[{"imu": {"enabled": True, "rate_hz": 50}}],
        json_schema_extra={"additionalProperties": False},
    )

    @property
    def given(self) -> dict[str, Any]:
        """Only what was given, as it travels."""
        period = {} if self.batch_period_s is None else {"batch_period_s": self.batch_period_s}
        return period | ({"sources": {name: s.given for name, s in self.sources.items()}} if self.sources else {})


class Versioned(Changes):
    """Changes under their version: what travels down and what an edge keeps."""

    version: int = Field(ge=0, le=VERSION_MAX)

    @property
    def document(self) -> dict[str, Any]:
        """As it travels."""
        return {"version": self.version, **self.given}

    @classmethod
    def of(cls, version: int, changes: Changes) -> Self:
        """These changes under this version."""
        return cls(version=version, batch_period_s=changes.batch_period_s, sources=changes.sources)

    @classmethod
    def parse(cls, document: object) -> Self:
        """A decoded document from the other side; raises `Invalid` with the path."""
        try:
            return cls.model_validate(document)
        except ValidationError as e:
            first = e.errors(include_url=False, include_input=False)[0]
            path = ".".join(map(str, first["loc"]))
            raise Invalid(f"settings {path}: {first['msg']}", path=path) from e


NO_CHANGES = Versioned(version=0)


class Report(_Checked):
    """What an edge says of its settings: the version in force, and the newer one that failed."""

    in_force: int = Field(0, ge=0, le=VERSION_MAX)
    failed: int | None = Field(None, ge=0, le=VERSION_MAX)
    reason: str = Field("", max_length=TEXT_CHARS_MAX)

    @property
    def text(self) -> str:
        """For `Beside.settings`: one line of printable ASCII, short enough for a header."""
        if self.failed is None:
            return str(self.in_force)
        return f"{self.in_force} failed={self.failed} {one_line(self.reason)}".rstrip()

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read back; None for what is none: nobody's reading depends on it."""
        said = _REPORT.fullmatch(text[:TEXT_CHARS_MAX]) if text else None
        if said is None:
            return None
        in_force, failed, reason = said.groups()
        failed_version = int(failed) if failed else None
        try:
            return cls(in_force=int(in_force), failed=failed_version, reason=one_line(reason or ""))
        except ValidationError:
            return None


def one_line(text: str) -> str:
    """Printable ASCII, cut to what fits beside a batch."""
    words = " ".join(text.split())
    return "".join(c if " " <= c <= "~" else "?" for c in words)[:REASON_CHARS_MAX]
