"""Errors as senders and askers see them: RFC 9457 problem documents, never a stack trace, never a secret."""

import logging
import math
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from telemetry.errors import Invalid, SensorlineError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:sensorline:error:"
RETRY_AFTER_S = 1.0
TITLES = {
    400: "Bad request",
    401: "Unauthorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
    507: "No room left",
}


def document(
    status: int, code: str, detail: str, *, path: str | None = None, retry_after_s: float | None = None
) -> bytes:
    """The problem document."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + code,
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail.encode("utf-8", "replace").decode(),  # lone surrogates of a sender's text are no JSON
    }
    if path is not None:
        body["path"] = path.encode("utf-8", "replace").decode()
    if retry_after_s is not None:
        body["retry_after_s"] = retry_after_s
    return orjson.dumps(body)


def retry_after_s(error: SensorlineError) -> float | None:
    """When to try again, in seconds; None when that cannot help."""
    return (error.retry_after_s or RETRY_AFTER_S) if error.retryable else None


def headers_of(error: SensorlineError) -> dict[str, str]:
    """The headers that belong to an error's answer."""
    wait_s = retry_after_s(error)
    if wait_s is not None:
        return {"Retry-After": str(max(1, math.ceil(wait_s)))}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}


def problem(error: SensorlineError) -> Response:
    """The answer to one of our errors."""
    body = document(error.status, error.code, error.message, path=error.path, retry_after_s=retry_after_s(error))
    return Response(body, error.status, headers_of(error), MEDIA_TYPE)


def too_large(size_bytes_max: int) -> HTTPException:
    """A body over a route's limit."""
    return HTTPException(413, f"body is over {size_bytes_max} bytes")


def install(app: FastAPI) -> None:
    """Answer every error of the app so."""
    app.add_exception_handler(SensorlineError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, SensorlineError)  # noqa: S101 - registered for this class
    return problem(error)


async def _validation(request: Request, error: Exception) -> Response:
    """The first thing that pydantic found wrong; the value itself is not repeated, it may be a secret."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    place, *parts = first["loc"] or ("",)
    path = ("$" if place == "body" else str(place)) + "".join(f".{p}" for p in parts)
    if first["type"] == "json_invalid":
        body = document(400, "malformed", "the body is not JSON", path="$")
        return Response(body, 400, media_type=MEDIA_TYPE)
    return problem(Invalid(str(first["msg"]), path=path[:256]))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status_code, "http")
    body = document(error.status_code, code, str(error.detail))
    return Response(body, error.status_code, dict(error.headers or {}), MEDIA_TYPE)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: the log has the trace, the asker does not."""
    return Response(document(500, "internal", "a fault of this server; its log has the details"), 500, None, MEDIA_TYPE)
