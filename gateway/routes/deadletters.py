"""What could not be stored: seen by an operator, and sent back once the cause is mended."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway import letters
from gateway.access import Principal, Role, require
from gateway.answers import Answer, Asked, Json
from gateway.openapi import guarded
from telemetry import errors

LIMIT_MAX = 10_000
IDS_MAX = 1_000

router = APIRouter(prefix="/v1/deadletters", tags=["operate"])
LetterId = Annotated[str, Field(pattern=r"^[0-9]{1,10}-[0-9]{1,19}$", examples=["0-17"])]


class LetterListed(Answer):
    """A record that could not be stored, without its value."""

    id: LetterId
    reason: str
    detail: str
    topic: str = Field(description="Where it was, with partition and offset.")
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    key: str = Field(description="The device.")
    session: str | None
    seq: int | None
    at_ns: int = Field(description="When it was set aside, UTC nanoseconds.")
    replayed: bool


class Letters(Answer):
    """Newest first."""

    deadletters: list[LetterListed]


class Which(BaseModel):
    """Either some, or all that were not replayed yet."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "oneOf": [{"required": ["ids"]}, {"required": ["all"]}],
            "examples": [{"ids": ["0-17"]}, {"all": True}],
        },
    )

    ids: list[LetterId] = Field(default_factory=list, min_length=1, max_length=IDS_MAX)
    all: bool = Field(default=True, json_schema_extra={"const": True})

    @model_validator(mode="after")
    def _one_of_both(self) -> "Which":
        if self.model_fields_set not in ({"ids"}, {"all"}) or not self.all:
            raise ValueError('say either {"ids": [...]} or {"all": true}')
        return self


class Outcome(Answer):
    """What became of them."""

    replayed: int = Field(ge=0)
    skipped: int = Field(ge=0, description="Unknown, replayed before, not replayable, or of a deleted device.")
    left: int = Field(ge=0, description="Beyond what one call takes: call again.")


@router.get(
    "",
    response_model=Letters,
    dependencies=[Depends(require(Role.VIEWER))],
    responses=guarded(errors.Invalid, errors.LogUnavailable),
)
async def list_letters(services: Asked, limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100) -> Json:
    """The last dead letters."""
    return Json({"deadletters": [_listed(found) for found in await letters.newest(services.log, limit)]})


@router.post(
    "/replay",
    response_model=Outcome,
    responses=guarded(errors.Malformed, errors.Invalid, errors.LogUnavailable, errors.LogFull),
)
async def replay(
    services: Asked, which: Which, principal: Annotated[Principal, Depends(require(Role.OPERATOR))]
) -> Json:
    """Append the originals to their topics again, under the same key; what is stored already is not stored twice."""
    ids = which.ids or None
    async with services.audit.change(principal.name, "deadletters.replay", "deadletters", {"ids": ids or "all"}):
        done = await letters.replay(services.log, services.registry, services.clock, ids)
    return Json({"replayed": done.replayed, "skipped": done.skipped, "left": done.left})


def _listed(found: letters.Listed) -> dict[str, object]:
    letter = found.letter
    return {
        "id": letter.id,
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": letter.key,
        "session": letter.session,
        "seq": letter.seq,
        "at_ns": letter.at_ns,
        "replayed": found.replayed,
    }
