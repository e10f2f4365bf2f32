"""POST /v1/batches, /v1/sensor-logger, /v1/owntracks and /v1/senml: bytes in, a receipt out.

Plain ASGI: FastAPI's body parsing is bypassed.  Who sends is known before a byte of the body is read, and the body
is read up to its limit and no further.  OpenAPI learns of these routes from `OPENAPI`.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import problems, receipts
from gateway.auth import device_of
from gateway.limits import Held
from gateway.routes import _owntracks_http as owntracks_http
from gateway.routes._answer import JSON, Answer
from gateway.routes._ingest_openapi import OPENAPI
from gateway.services import Services
from telemetry import beside, metrics
from telemetry.beside import Beside
from telemetry.errors import Malformed, SensorlineError, TooLarge, Unsupported

logger = logging.getLogger(__name__)

__all__ = ["OPENAPI", "Ingest", "endpoints"]

SHOWN_TO_USER = 499  # the status whose text the Sensor Logger app shows to its user


class SenderGone(Exception):
    """The connection ended before the body did."""


class Refuse(Protocol):
    """How a route words an error."""

    def __call__(self, error: SensorlineError, headers: Mapping[bytes, bytes]) -> Answer:
        """The answer to it, to a request with these headers."""
        ...


def refuse_problem(error: SensorlineError, headers: Mapping[bytes, bytes]) -> Answer:
    """A problem document."""
    response = problems.problem(error)
    return Answer(error.status, bytes(response.body), problems.MEDIA_TYPE.encode(), problems.headers_of(error))


def refuse_shown(error: SensorlineError, headers: Mapping[bytes, bytes]) -> Answer:
    """What a phone can do nothing about is told to its user; what passes is left as it is."""
    if error.retryable:
        return refuse_problem(error, headers)
    where = f" ({error.path})" if error.path else ""
    text = (error.message + where).encode("utf-8", "replace")
    return Answer(SHOWN_TO_USER, text, b"text/plain; charset=utf-8", {"Sensorline-Error": error.code})


def answer_receipt(receipt: Mapping[str, Any]) -> Answer:
    """The receipt's document."""
    return Answer(200, orjson.dumps(receipt))


def answer_owntracks(receipt: Mapping[str, Any]) -> Answer:
    """The app expects messages for itself: there are none."""
    return owntracks_http.NOTHING_TO_SAY


@dataclass(frozen=True, slots=True)
class Manners:
    """What a protocol's senders expect of HTTP."""

    dialects: Mapping[bytes, str]  # by media type; the first where none is said
    refuse: Refuse = refuse_problem
    accept: Callable[[Mapping[str, Any]], Answer] = answer_receipt
    credentials: Callable[[str | None], str | None] = lambda header: header  # the Authorization header as Bearer
    ignores_empty: bool = False


ROUTES: Mapping[str, Manners] = {
    "/v1/batches": Manners({JSON: "native"}),
    "/v1/sensor-logger": Manners({JSON: "sensor_logger"}, refuse_shown),
    "/v1/owntracks": Manners(
        {JSON: "owntracks"},
        owntracks_http.refuse,
        answer_owntracks,
        credentials=owntracks_http.as_bearer,
        ignores_empty=True,
    ),
    "/v1/senml": Manners(
        {b"application/senml+json": "senml", b"application/senml+cbor": "senml_cbor", JSON: "senml"},
    ),
}


def endpoints(services: Services) -> dict[str, ASGIApp]:
    """The ingest routes by path."""
    return {path: Ingest(services, path, manners) for path, manners in ROUTES.items()}


class Ingest:
    """One ingest route."""

    def __init__(self, services: Services, route: str, manners: Manners) -> None:
        self._services = services
        self._route = route
        self._manners = manners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            body = problems.document(405, "method_not_allowed", f"{self._route} takes POST")
            answer = Answer(405, body, problems.MEDIA_TYPE.encode(), {"Allow": "POST"})
        else:
            headers = _headers(scope)
            try:
                answer = await self._take(headers, receive)
            except SenderGone:
                metrics.requests.labels(self._route, "gone").inc()
                return
            except SensorlineError as e:
                answer = self._manners.refuse(e, headers)
            except Exception:
                # Whatever fails is a fault of ours: the log gets the trace, and the sender an answer to retry on.
                logger.exception("%s failed", self._route)
                body = problems.document(500, "internal", "a fault of this server; its log has the details")
                answer = Answer(500, body, problems.MEDIA_TYPE.encode())
        metrics.requests.labels(self._route, str(answer.status)).inc()
        await _send(send, answer)

    async def _take(self, headers: Mapping[bytes, bytes], receive: Receive) -> Answer:
        services, manners = self._services, self._manners
        intake = services.intake
        holder = device_of(services, manners.credentials(_text(headers.get(b"authorization"))))
        intake.buckets.take(holder.device, services.clock.monotonic_s())
        dialect = _dialect(headers.get(b"content-type"), manners.dialects)
        size_bytes_max = intake.limits.body_bytes_max
        _check_length(headers.get(b"content-length"), size_bytes_max)
        with intake.in_flight.hold(holder.device) as held:
            body = await _read(receive, size_bytes_max, held)
            if not body and manners.ignores_empty:
                return manners.accept({})
            encoding = _text(headers.get(b"content-encoding"))
            said = _said(headers)
            receipt = await intake.take(body, encoding, dialect, holder, said)
        settings = await receipts.settings_part(services.device_settings, holder, said)
        return manners.accept(receipts.stored(receipt, settings))


async def _read(receive: Receive, size_bytes_max: int, held: Held) -> bytes:
    """The whole body; raises `TooLarge` as soon as it is over, and `SenderGone`."""
    pieces: list[bytes] = []
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGone
        piece = message.get("body", b"")
        if piece:
            if held.size_bytes + len(piece) > size_bytes_max:
                raise _too_large(size_bytes_max)
            held.grow(len(piece))
            pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """The first of each name: who sends two is not believed the second."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, value)
    return headers


def _said(headers: Mapping[bytes, bytes]) -> Beside:
    """What an edge says beside its batch; a phone says nothing."""
    found = {name: headers[name.encode()].decode("latin-1") for name in beside.HEADERS if name.encode() in headers}
    return Beside.of_headers(found) if found else beside.NOTHING


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _dialect(content_type: bytes | None, dialects: Mapping[bytes, str]) -> str:
    """The one of that media type; raises `Unsupported`."""
    if content_type is None:
        return next(iter(dialects.values()))
    dialect = dialects.get(content_type.partition(b";")[0].strip().lower())
    if dialect is None:
        wanted = " or ".join(one.decode() for one in dialects)
        raise Unsupported(f"content type {content_type[:64].decode('latin-1')!r} is not spoken here; send {wanted}")
    return dialect


def _check_length(value: bytes | None, size_bytes_max: int) -> None:
    if value is None:
        return
    if not value.isdigit():
        raise Malformed("Content-Length is no number")
    if len(value) > 15 or int(value) > size_bytes_max:
        raise _too_large(size_bytes_max)


def _too_large(size_bytes_max: int) -> TooLarge:
    return TooLarge(f"body is over {size_bytes_max} bytes: split the batch, or compress it")


async def _send(send: Send, answer: Answer) -> None:
    headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
    for name, value in (answer.headers or {}).items():
        headers.append((name.lower().encode(), value.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
