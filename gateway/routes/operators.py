"""Admins give and end operators' keys."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from gateway.access import Role
from gateway.answers import Answer, Name
from gateway.openapi import guarded
from gateway.routes.devices import Admin, Order, Parts
from telemetry import errors

router = APIRouter(prefix="/v1", tags=["operate"])


class NewOperator(Order):
    """Who gets a key, and what it may do."""

    name: Name = Field(examples=["grafana"])
    role: Literal["viewer", "operator", "admin"] = Field(examples=[Role.VIEWER.value])


class OperatorKey(Answer):
    """A new key, shown this once."""

    name: str
    role: str
    key: str


class OperatorShown(Answer):
    """An operator, without the key."""

    name: str
    role: str
    created_ns: int


class Operators(Answer):
    """All of them, first made first."""

    operators: list[OperatorShown]


class Removed(Answer):
    """Whose key was ended."""

    name: str
    removed: bool


@router.post(
    "/operators", status_code=201, responses=guarded(errors.Malformed, errors.Conflict, errors.TooLarge, errors.Invalid)
)
async def add_operator(body: NewOperator, services: Parts, who: Admin) -> OperatorKey:
    """Give a new key."""
    async with services.audit.change(who.name, "operator.add", body.name, {"role": body.role}):
        key = await services.enrolment.add_operator(body.name, body.role)
    return OperatorKey(name=body.name, role=body.role, key=key)


@router.get("/operators", responses=guarded())
async def list_operators(services: Parts, who: Admin) -> Operators:
    """Who has a key."""
    shown = [OperatorShown(name=o.name, role=o.role, created_ns=o.created_ns) for o in services.registry.operators()]
    return Operators(operators=shown)


@router.delete("/operators/{name}", responses=guarded(errors.NotFound, errors.Conflict, errors.Invalid))
async def remove_operator(name: Name, services: Parts, who: Admin) -> Removed:
    """End a key; the last admin's stays."""
    async with services.audit.change(who.name, "operator.remove", name):
        await services.enrolment.remove_operator(name)
    return Removed(name=name, removed=True)
