"""Roles and the dependencies that routes declare: `Depends(require(Role.VIEWER))`."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from gateway.auth import operator_of
from gateway.services import services_of
from gateway.sessions import check_origin, session_of
from telemetry.errors import Forbidden, NotReady, Unauthorised
from telemetry.loopback import is_loopback as is_loopback_host
from telemetry.registered_people import WebSession

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Role(StrEnum):
    """What a key or a person may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Higher may do more."""
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: an operator's key, or a person by the session of a browser."""

    name: str
    role: Role
    session: WebSession | None = None


Dependency = Callable[[Request], Awaitable[Principal]]
LOOPBACK = Principal("loopback", Role.VIEWER)


def require(role: Role) -> Dependency:
    """A dependency that gives the principal; raises `Unauthorised`, `Forbidden` or `NotReady`."""

    async def principal(request: Request) -> Principal:
        return check(request, role)

    principal.__dict__["role"] = role  # read by the matrix test and by the OpenAPI document
    return principal


def loopback_or(role: Role) -> Dependency:
    """As `require`, but somebody on this machine needs no key."""

    async def principal(request: Request) -> Principal:
        if "authorization" not in request.headers and is_loopback(request):
            return LOOPBACK
        return check(request, role)

    principal.__dict__["role"] = role
    principal.__dict__["loopback"] = True
    return principal


def check(request: Request, role: Role) -> Principal:
    """The principal of this request if it may act in this role: a key's, or else the one that a cookie stands for."""
    principal = _principal(request)
    if principal.role.rank < role.rank:
        raise Forbidden(f"{principal.name} is {principal.role}; this needs {role}")
    return principal


def still_holds(request: Request, role: Role = Role.VIEWER) -> bool:
    """Whether who asked for a long answer may still have it: no key was ended, no session, no role taken.

    False also when this gateway cannot know, as its registry is behind.
    """
    try:
        check(request, role)
    except (Unauthorised, Forbidden, NotReady):
        return False
    return True


async def while_held(request: Request, role: Role, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """A long answer, as long as who asked may have it; then what `check` raises, which cuts the connection.

    A registry that is behind for a moment cuts nothing: what it did not know it will know at a later chunk.
    """
    async with aclosing(chunks):
        async for chunk in chunks:
            with suppress(NotReady):
                check(request, role)
            yield chunk


def _principal(request: Request) -> Principal:
    services = services_of(request)
    session = session_of(services, request)
    if session is not None:
        check_origin(services, request)
        return Principal(session.person.name, Role(session.person.role), session)
    operator = operator_of(services, request)
    return Principal(operator.name, Role(operator.role))


def is_loopback(request: Request) -> bool:
    """True when the request comes from this machine itself, not through a proxy that runs on it."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    return is_loopback_host(request.client.host)


__all__ = [
    "LOOPBACK",
    "Principal",
    "Role",
    "Unauthorised",
    "check",
    "is_loopback",
    "loopback_or",
    "require",
    "still_holds",
    "while_held",
]
