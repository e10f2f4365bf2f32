"""People log in and out, and ask who they are: a password for a session of their browser."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Principal, Role, require
from gateway.addresses import address_of
from gateway.answers import Answer
from gateway.auth import check_fresh
from gateway.openapi import answers, guarded
from gateway.routes.devices import CHANGE, Order, Parts
from gateway.services import Services
from gateway.sessions import check_origin, cookie_of, give, session_of, take_back
from telemetry import errors, metrics
from telemetry.errors import Forbidden, SensorlineError, Unauthorised
from telemetry.people import forget_first_password

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["login"])

NOBODY = "(nobody)"  # in the audit trail: no person can be called so
UNKNOWN = "(unknown)"  # a name that is not a person's may be a password in the wrong field
EXAMPLE = "five-green-bottles"

REFUSALS = (errors.Unauthorised, errors.Forbidden, errors.RateLimited, errors.NotReady)

Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Password = Annotated[str, Field(max_length=1024)]


class LoggingIn(Order):
    """Who, and the password."""

    name: Annotated[str, Field(max_length=1024, examples=["admin"])]
    password: Annotated[Password, Field(examples=[EXAMPLE])]


class LoggedIn(Answer):
    """Whose session begins, and when it ends, UTC nanoseconds."""

    name: str
    role: str
    expires_ns: int


class Me(Answer):
    """Who asks; an operator's key is no person, and does not expire."""

    name: str
    role: str
    person: bool
    expires_ns: int | None


class NewPassword(Order):
    """The password until now, and the one from now on."""

    old: Annotated[Password, Field(examples=["k7qm2-xpd4r-9tw3n-c5vhe"])]
    new: Annotated[Password, Field(examples=[EXAMPLE])]


class Done(Answer):
    """Nothing to tell."""


@router.post(
    "/login", responses=answers(errors.Unauthorised, errors.Forbidden, errors.RateLimited, errors.NotReady, *CHANGE)
)
async def log_in(body: LoggingIn, request: Request, response: Response, services: Parts) -> LoggedIn:
    """Begin a session: the answer sets its cookie, which is new each time.  A wrong name and a wrong password are
    answered alike, and after five such tries an address waits."""
    check_origin(services, request, needed=False)
    check_fresh(services)
    address = address_of(request)
    tried = services.login_tries.begin(address, body.name, services.clock.monotonic_s())
    try:
        person = await services.enrolment.log_in(body.name, body.password)
        async with services.audit.change(person.name, "login", person.name, {"address": address}):
            made = await services.enrolment.begin_session(
                person, life_s=services.settings.gateway.web.session_hours * 3600, replaces=_had(services, request)
            )
    except Unauthorised:
        await _refused(services, body.name, address)
        raise
    except SensorlineError:
        tried.take_back()
        raise
    tried.was_right()
    give(services, request, response, made.cookie, made.expires_ns)
    return LoggedIn(name=person.name, role=person.role, expires_ns=made.expires_ns)


@router.post("/logout", responses=answers(errors.Forbidden, errors.NotReady, errors.LogUnavailable))
async def log_out(request: Request, response: Response, services: Parts) -> Done:
    """End this browser's session, on every gateway.  Safe to repeat."""
    session = session_of(services, request)
    if session is not None:
        check_origin(services, request)
        async with services.audit.change(session.person.name, "logout", session.person.name):
            await services.enrolment.end_session(session)
    if cookie_of(services, request) is not None:
        take_back(services, request, response)
    return Done()


@router.get("/me", responses=guarded())
async def me(who: Viewer) -> Me:
    """Who asks, and what they may do."""
    expires_ns = who.session.expires_ns if who.session else None
    return Me(name=who.name, role=who.role.value, person=who.session is not None, expires_ns=expires_ns)


@router.post("/me/password", responses=guarded(errors.NotFound, errors.Conflict, errors.RateLimited, *CHANGE))
async def change_password(body: NewPassword, request: Request, services: Parts, who: Viewer) -> Done:
    """Choose a new password; the person's other sessions end."""
    if who.session is None:
        raise Forbidden("an operator's key has no password: log in")
    person = who.session.person
    tried = services.login_tries.begin(address_of(request), person.name, services.clock.monotonic_s())
    try:
        async with services.audit.change(who.name, "password.change", person.name):
            await services.enrolment.change_password(person, body.old, body.new, session=who.session.digest)
    except Forbidden:
        metrics.logins_refused.inc()
        raise
    except SensorlineError:
        tried.take_back()
        raise
    tried.was_right()
    await forget_first_password(services.settings.data_dir, person.name)
    return Done()


async def _refused(services: Services, name: str, address: str) -> None:
    """Say so where it is looked for; never what was tried."""
    metrics.logins_refused.inc()
    known = name if services.registry.person(name) else UNKNOWN
    logger.warning("a login from %s as %s was refused", address, known)
    await services.audit.note(NOBODY, "login", known, "failed: unauthorised", {"address": address})


def _had(services: Services, request: Request) -> str | None:
    """The session that this browser had, which the new one replaces."""
    before = session_of(services, request)
    return before.digest if before else None
