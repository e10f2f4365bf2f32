"""Roles and the dependencies that routes declare: `Depends(require(Role.VIEWER))`."""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from gateway.auth import operator_of
from gateway.services import services_of
from telemetry.errors import Forbidden, Unauthorised

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Role(StrEnum):
    """What a key may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Higher may do more."""
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    role: Role


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
    """The principal of this request if it may act in this role."""
    operator = operator_of(services_of(request), request)
    principal = Principal(operator.name, Role(operator.role))
    if principal.role.rank < role.rank:
        raise Forbidden(f"{principal.name} is {principal.role}; this needs {role}")
    return principal


def is_loopback(request: Request) -> bool:
    """True when the request comes from this machine itself, not through a proxy that runs on it."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


__all__ = ["LOOPBACK", "Principal", "Role", "Unauthorised", "check", "is_loopback", "loopback_or", "require"]
