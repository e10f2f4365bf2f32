"""Who changed what, and when."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from gateway.access import Role, require
from gateway.answers import Answer, Asked, Json
from gateway.openapi import guarded
from telemetry import errors

LIMIT_MAX = 1_000

router = APIRouter(prefix="/v1", tags=["operate"], dependencies=[Depends(require(Role.ADMIN))])


class Change(Answer):
    """One entry; a change that failed has a second entry that says so."""

    who: str
    what: str
    subject: str
    outcome: str
    at_ns: int = Field(description="UTC nanoseconds.")
    details: dict[str, Any]


class Trail(Answer):
    """Newest first."""

    audit: list[Change]


@router.get("/audit", response_model=Trail, responses=guarded(errors.Invalid, errors.LogUnavailable))
async def trail(
    services: Asked,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
) -> Json:
    """The last changes that people made."""
    return Json({"audit": await services.audit.recent(limit)})
