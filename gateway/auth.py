"""Who sends and who asks: the Authorization header turned into a device's token or an operator's key."""

from starlette.requests import HTTPConnection

from gateway.services import Services
from telemetry.errors import Forbidden, NotReady, Unauthorised
from telemetry.registry import Holder, Operator

NOT_READY_RETRY_S = 1.0


def bearer(header: str | None) -> str:
    """The token of an `Authorization: Bearer ...` header; raises `Unauthorised`."""
    if not header:
        raise Unauthorised("no Authorization header: send 'Authorization: Bearer <token>', or log in")
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorised("the Authorization header is not 'Bearer <token>'")
    return token


def check_fresh(services: Services) -> None:
    """Raises `NotReady` when revocations of the last seconds may be unknown here."""
    age_s = services.registry.age_s()
    stale_s = services.settings.gateway.devices_stale_s
    if age_s > stale_s:
        raise NotReady(f"the device registry is {age_s:.0f} s old; the log is behind", retry_after_s=NOT_READY_RETRY_S)


def device_of(services: Services, header: str | None) -> Holder:
    """The device whose token this is; raises `Unauthorised`, `Forbidden` (an operator's key) or `NotReady`."""
    token = bearer(header)
    check_fresh(services)
    holder = services.registry.holder(token, services.clock.now_ns())
    if holder is None:
        if services.registry.operator(token) is not None:
            raise Forbidden("this is an operator's key: only a device's token may send readings")
        raise Unauthorised("this token is not known here: unknown, expired or revoked")
    return holder


def operator_of(services: Services, connection: HTTPConnection) -> Operator:
    """The operator whose key this is; raises `Unauthorised`, `Forbidden` (a device's token) or `NotReady`."""
    key = bearer(connection.headers.get("authorization"))
    check_fresh(services)
    operator = services.registry.operator(key)
    if operator is None:
        if services.registry.holder(key, services.clock.now_ns()) is not None:
            raise Forbidden("this is a device's token: it may only send readings")
        raise Unauthorised("this key is not known here")
    return operator
