"""Admins say who may log in, and as what."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from gateway.answers import Answer, Name
from gateway.openapi import guarded
from gateway.routes.devices import CHANGE, Admin, Order, Parts
from telemetry import errors
from telemetry.people import forget_first_password
from telemetry.registered_people import Person

router = APIRouter(prefix="/v1/people", tags=["operate"])

RoleName = Literal["viewer", "operator", "admin"]


class NewPerson(Order):
    """Who may log in, and as what."""

    name: Name = Field(examples=["ann"])
    role: RoleName = Field(examples=["operator"])


class PersonChange(Order):
    """What is given is changed."""

    role: RoleName | None = Field(None, examples=["viewer"])


class PersonAdded(Answer):
    """A new person with a random password, shown this once."""

    name: str
    role: str
    password: str


class PasswordSet(Answer):
    """A random password, shown this once."""

    name: str
    password: str


class PersonShown(Answer):
    """A person, without the password; times in UTC nanoseconds."""

    name: str
    role: str
    created_ns: int
    changed_ns: int


class People(Answer):
    """All of them, by name."""

    people: list[PersonShown]


class PersonRemoved(Answer):
    """Who may not log in any more."""

    name: str
    removed: bool


@router.get("", responses=guarded())
async def list_people(services: Parts, who: Admin) -> People:
    """Who may log in."""
    return People(people=[_shown(p) for p in services.registry.people()])


@router.post("", status_code=201, responses=guarded(*CHANGE, errors.Conflict, errors.RateLimited))
async def add_person(body: NewPerson, services: Parts, who: Admin) -> PersonAdded:
    """Let somebody log in."""
    async with services.audit.change(who.name, "person.add", body.name, {"role": body.role}):
        password = await services.enrolment.add_person(body.name, body.role)
    return PersonAdded(name=body.name, role=body.role, password=password)


@router.patch("/{name}", responses=guarded(*CHANGE, errors.NotFound, errors.Conflict))
async def change_person(name: Name, body: PersonChange, services: Parts, who: Admin) -> PersonShown:
    """Change what a person may do, at once; the last admin stays one."""
    if body.role is None:
        return _shown(services.enrolment.known_person(name))
    async with services.audit.change(who.name, "person.change", name, {"role": body.role}):
        changed = await services.enrolment.set_role(name, body.role)
    return _shown(changed)


@router.post("/{name}/password", responses=guarded(*CHANGE, errors.NotFound, errors.RateLimited))
async def reset_password(name: Name, services: Parts, who: Admin) -> PasswordSet:
    """Give a person a new random password, in place of a forgotten one; ends the person's sessions."""
    async with services.audit.change(who.name, "person.password", name):
        password = await services.enrolment.reset_password(name)
    await forget_first_password(services.settings.data_dir, name)
    return PasswordSet(name=name, password=password)


@router.delete("/{name}", responses=guarded(errors.NotFound, errors.Conflict, errors.Invalid, errors.LogUnavailable))
async def remove_person(name: Name, services: Parts, who: Admin) -> PersonRemoved:
    """End a person's access, at once; the last admin stays."""
    async with services.audit.change(who.name, "person.remove", name):
        await services.enrolment.remove_person(name)
    await forget_first_password(services.settings.data_dir, name)
    return PersonRemoved(name=name, removed=True)


def _shown(person: Person) -> PersonShown:
    return PersonShown(name=person.name, role=person.role, created_ns=person.created_ns, changed_ns=person.changed_ns)
