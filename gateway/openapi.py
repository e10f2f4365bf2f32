"""The API's own description, made true: every route with its key, its answers and its problem documents.

FastAPI describes what it parses itself.  What it cannot know is added here: problem documents in place of its own
error model, who may call a route (read off the dependency that guards it), and the ingest routes' bodies, which are
decoded without FastAPI and described by hand beside their code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from gateway import problems
from gateway.sessions import COOKIE, SECURE_COOKIE
from telemetry import errors
from telemetry.errors import SensorlineError

ByHand: TypeAlias = Mapping[str, Mapping[str, Any]]

PROBLEM = "#/components/schemas/Problem"
DESCRIPTION = """Readings in, readings out. A 2xx on an ingest route means: durable in the log.

Times in answers are integer UTC nanoseconds; in queries ISO 8601 is understood too. Every error is an RFC 9457
problem document, and 429, 503 and 507 say in `Retry-After` when to try again."""

SECURITY_SCHEMES = {
    "device": {"type": "http", "scheme": "bearer", "description": "A device's token: may only send readings."},
    "device_password": {"type": "http", "scheme": "basic", "description": "The same token as password; any user."},
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "description": "An operator's key: viewer < operator < admin; `x-role` says what a route needs.",
    },
    "person": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"Set by POST /v1/login ({SECURE_COOKIE} by https); what changes something needs the page's "
        "own Origin with it.",
    },
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "pattern": f"^{problems.TYPE_PREFIX}[a-z_]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What, where and the mend."},
        "path": {"type": "string", "description": "Which part of the request is wrong."},
        "retry_after_s": {"type": "number", "minimum": 0},
    },
}


def answers(*kinds: type[SensorlineError]) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that can end in these errors; those of one status share an entry."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = found.setdefault(kind.status, problem_answer(kind.status, [], ""))
        summary = (kind.__doc__ or "").partition("\n")[0]
        entry["description"] = f"{entry['description']} {summary}".strip()
        entry["content"][problems.MEDIA_TYPE]["examples"][kind.code] = {"value": example(kind)}
    return found


def guarded(*kinds: type[SensorlineError]) -> dict[int | str, dict[str, Any]]:
    """`answers` of a route that needs a key."""
    return answers(errors.Unauthorised, errors.Forbidden, errors.NotReady, *kinds)


def problem_answer(status: int, kinds: list[str], description: str) -> dict[str, Any]:
    """A response object for problem documents of this status."""
    entry: dict[str, Any] = {
        "description": description,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": PROBLEM}, "examples": {}}},
    }
    if status in {429, 503, 507}:
        entry["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}, "required": True}
        }
    if status == 401:
        entry["headers"] = {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}, "required": True}}
    return entry


def example(kind: type[SensorlineError]) -> dict[str, Any]:
    """A problem document of that kind."""
    document: dict[str, Any] = {
        "type": problems.TYPE_PREFIX + kind.code,
        "title": problems.TITLES[kind.status],
        "status": kind.status,
        "detail": (kind.__doc__ or "").partition("\n")[0],
    }
    return document | ({"retry_after_s": 1.0} if kind.retryable else {})


def install(app: FastAPI, by_hand: ByHand, routers: Sequence[APIRouter]) -> None:
    """Let the app describe itself so; `by_hand` is path -> method -> operation of what FastAPI cannot see.

    `routers` are those that the app includes: what it makes of them is its own affair and differs by version.
    """
    app.openapi = lambda: describe(app, by_hand, routers)  # type: ignore[method-assign]


def describe(app: FastAPI, by_hand: ByHand, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The OpenAPI 3.1 document; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=DESCRIPTION,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = PROBLEM_SCHEMA
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        _put_by_hand(document, by_hand)
        for route in _routes(routers):
            for method in route.methods or ():
                _complete(document["paths"][route.path][method.lower()], route.dependant)
        app.openapi_schema = document
    return app.openapi_schema


def _routes(routers: Sequence[APIRouter]) -> Iterator[APIRoute]:
    yield from (route for router in routers for route in router.routes if isinstance(route, APIRoute))


def _put_by_hand(document: dict[str, Any], by_hand: ByHand) -> None:
    for path, operations in by_hand.items():
        document["paths"].setdefault(path, {}).update(deepcopy(dict(operations)))


def _complete(operation: dict[str, Any], dependant: Dependant) -> None:
    """Say who may call it, and that a refused parameter is answered by a problem document."""
    guard = next((call for call in _calls(dependant) if "role" in call.__dict__), None)
    if guard is not None:
        key: list[dict[str, list[str]]] = [{"operator": []}, {"person": []}]
        operation["security"] = [{}, *key] if guard.__dict__.get("loopback") else key
        operation["x-role"] = str(guard.__dict__["role"])
    else:
        operation.setdefault("security", [])
    fastapis_own = operation["responses"].get("422", {}).get("content", {}).get("application/json")
    if fastapis_own is not None:
        operation["responses"]["422"] = answers(errors.Invalid)[422]


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None and hasattr(dependant.call, "__dict__"):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)
