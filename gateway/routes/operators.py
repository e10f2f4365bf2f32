"""Admins give and end operators' keys, and read what everybody changed."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from gateway.access import Role
from gateway.routes.devices import NAME_PATTERN, Admin, Services_, Strict

router = APIRouter(prefix="/v1", tags=["operators"])

AUDIT_LIMIT_MAX = 10_000


class NewOperator(Strict):
    """Who gets a key, and what it may do."""

    name: str = Field(pattern=NAME_PATTERN, examples=["grafana"])
    role: str = Field(pattern=f"^({'|'.join(Role)})$", examples=[Role.VIEWER.value])


class OperatorKey(BaseModel):
    """A new key, shown this once."""

    name: str
    role: str
    key: str


class OperatorShown(BaseModel):
    """An operator, without the key."""

    name: str
    role: str
    created_ns: int


class Operators(BaseModel):
    """All of them, first made first."""

    operators: list[OperatorShown]


class Removed(BaseModel):
    """Whose key was ended."""

    name: str
    removed: bool


class AuditTrail(BaseModel):
    """Changes, newest first: who, what, subject, outcome, at_ns, details."""

    entries: list[dict[str, Any]]


@router.post("/operators", status_code=201)
async def add_operator(body: NewOperator, services: Services_, who: Admin) -> OperatorKey:
    """Give a new key."""
    async with services.audit.change(who.name, "operator.add", body.name, {"role": body.role}):
        key = await services.enrolment.add_operator(body.name, body.role)
    return OperatorKey(name=body.name, role=body.role, key=key)


@router.get("/operators")
async def list_operators(services: Services_, who: Admin) -> Operators:
    """Who has a key."""
    shown = [OperatorShown(name=o.name, role=o.role, created_ns=o.created_ns) for o in services.registry.operators()]
    return Operators(operators=shown)


@router.delete("/operators/{name}")
async def remove_operator(name: Annotated[str, Path(pattern=NAME_PATTERN)], services: Services_, who: Admin) -> Removed:
    """End a key; the last admin's stays."""
    async with services.audit.change(who.name, "operator.remove", name):
        await services.enrolment.remove_operator(name)
    return Removed(name=name, removed=True)


@router.get("/audit")
async def read_audit(
    services: Services_, who: Admin, limit: Annotated[int, Query(ge=1, le=AUDIT_LIMIT_MAX)] = 100
) -> AuditTrail:
    """What was changed, by whom."""
    return AuditTrail(entries=await services.audit.recent(limit))
