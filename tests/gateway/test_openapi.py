"""The description is true: every route is in it, with its key, its errors and examples; and the running app agrees."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from gateway.routes import routers
from telemetry.deadletters import dead_letter
from telemetry.outcome import Reason
from telemetry.ports import BATCHES, DEADLETTERS, Entry
from tests.gateway.found import anomaly, windows
from tests.gateway.gateway_world import World, batch, gateway
from tests.gateway.read_world import settle
from tests.gateway.running import Running, running

HTTP_METHODS = ("get", "post", "put", "patch", "delete")
OPEN = {"/v1/web", "/healthz", "/readyz", "/v1/logout"}
CODE = "/v1/enroll"  # needs none but the code in its body
LOGIN = "/v1/login"  # ... or the password
KEY_OR_LOOPBACK = {"/v1/stats", "/metrics"}
DEVICE = "pi-7f3a"  # the one that the examples name
EXAMPLES_EACH = 12
INGEST = {"/v1/batches", "/v1/sensor-logger", "/v1/owntracks", "/v1/senml"}
BY_PASSWORD = "/v1/owntracks"
DEVICE_S = INGEST | {"/v1/device"}
UNLIMITED = {"requests_per_s": 1e6, "requests_burst": 1_000_000}

Operation = tuple[str, str, dict[str, Any]]


async def described() -> dict[str, Any]:
    async with gateway() as world:
        document: dict[str, Any] = world.app.openapi()
        return document


def operations(document: dict[str, Any]) -> list[Operation]:
    return [(p, m, o) for p, item in document["paths"].items() for m, o in item.items() if m in HTTP_METHODS]


async def test_every_route_of_the_app_is_described() -> None:
    async with gateway() as world:
        document = world.app.openapi()
        told = {(path, method) for path, method, _ in operations(document)}
        routes = {
            (route.path, method.lower()) for router in routers() for route in router.routes for method in route.methods
        }
        routes |= {(path, "post") for path in world.app.ingest}
        assert told == routes
        assert len(told) >= 20


async def test_every_operation_says_who_may_call_it_and_how_it_fails() -> None:
    document = await described()
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        if path in OPEN | {CODE, LOGIN}:
            assert operation["security"] == [], where
            continue
        key = "device" if path in DEVICE_S else "operator"
        keys = [{key: []}] if key == "device" else [{key: []}, {"person": []}]
        keys += [{"device_password": []}] if path == BY_PASSWORD else []
        assert operation["security"] == ([{}, *keys] if path in KEY_OR_LOOPBACK else keys), where
        statuses = set(operation["responses"])
        assert {"503", "499" if path == "/v1/sensor-logger" else "401"} <= statuses, where
        if key == "operator":
            assert operation["x-role"] in {"viewer", "operator", "admin"}, where
            assert "403" in statuses, where
        if operation.get("parameters"):
            assert "422" in statuses, where


async def test_every_error_is_a_problem_document_with_its_retry() -> None:
    document = await described()
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        for status, answer in operation["responses"].items():
            if int(status) < 400 or int(status) == 499:
                continue
            assert set(answer["content"]) == {"application/problem+json"}, (path, method, status)
            schema = answer["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
            assert ("Retry-After" in answer.get("headers", {})) == (status in {"429", "503", "507"}), (path, status)
    assert "HTTPValidationError" not in orjson.dumps(document).decode()


async def test_every_example_is_valid() -> None:
    document = await described()
    seen = 0
    for schema, example, where in examples(document):
        resolved = {**schema, "components": document["components"]}
        validator_for(resolved).validate(example), where
        seen += 1
    assert seen >= 30


def examples(document: dict[str, Any]):  # type: ignore[no-untyped-def]
    """(schema, example, where) of every parameter, body and answer that has one, and of every model."""
    for path, method, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            for example in [*parameter["schema"].get("examples", ()), *parameter.get("examples", {}).values()]:
                yield parameter["schema"], example.get("value") if isinstance(example, dict) else example, path
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (m for body in bodies for m in body.get("content", {}).values()):
            for example in media.get("examples", {}).values():
                yield media["schema"], example["value"], (path, method)
            if "example" in media:
                yield media["schema"], media["example"], (path, method)
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            yield schema, example, name
        for field, inner in schema.get("properties", {}).items():
            for example in inner.get("examples", ()):
                yield inner, example, (name, field)


# --- the running app, asked by schemathesis


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    import asyncio

    return asyncio.run(described())


async def fill(world: World) -> None:
    """Readings, a gap, a dead letter: so that answers are not empty."""
    await world.device(DEVICE)
    token = await world.device("sender")
    for seq in (0, 1, 4):
        for device, its in ((DEVICE, world.tokens[DEVICE]), ("sender", token)):
            await world.post("/v1/batches", batch(device, seq), its)
    await settle(world)
    entry = Entry(BATCHES.name, 0, 1, DEVICE, b"\xff", {"seq": "7"}, 0)
    letters = [dead_letter(entry, Reason.UNDECODABLE, "not a batch", 5) for _ in range(20)]
    await world.log.append(DEADLETTERS, letters)
    await world.services.store.put_anomalies([anomaly(DEVICE, ns) for ns in range(20)])
    await world.services.store.put_windows([windows(DEVICE)])
    world.admin = await world.services.enrolment.add_operator("root", "admin")


def excluded(path: str) -> list[Any]:
    """Checks that a route cannot be held to, each with its reason."""
    load_all_checks()
    names = []
    if path in INGEST:
        # A schema cannot say what the catalogue allows for a sensor, nor that columns have the length of dt.
        names.append("positive_data_acceptance")
    if path == "/v1/owntracks":
        # A message of a kind that stores nothing is not looked at.
        names.append("negative_data_rejection")
    if path == "/v1/latest":
        # A time beyond those that there can be is moved to the nearer end.
        names.append("negative_data_rejection")
    if path == "/v1/sensor-logger":
        # A phone's message is never sent again: its bad readings are counted, not refused.
        names.append("negative_data_rejection")
        # The app shows its user a refusal only if it is a 499.
        names.append("ignored_auth")
    return CHECKS.get_by_names(names)


PATHS = [
    ("get", "/v1/web"), ("post", "/v1/devices/{device}/setup"),
    ("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"), ("get", "/v1/stats"), ("get", "/v1/devices"),
    ("get", "/v1/readings"), ("get", "/v1/completeness"), ("get", "/v1/claims"), ("get", "/v1/export"),
    ("get", "/v1/deadletters"), ("post", "/v1/deadletters/replay"), ("get", "/v1/backup"), ("get", "/v1/audit"),
    ("post", "/v1/devices"), ("patch", "/v1/devices/{device}"), ("post", "/v1/devices/{device}/rotate"),
    ("post", "/v1/devices/{device}/revoke"), ("delete", "/v1/devices/{device}"), ("get", "/v1/operators"),
    ("post", "/v1/operators"), ("delete", "/v1/operators/{name}"), ("post", "/v1/batches"),
    ("post", "/v1/sensor-logger"), ("post", "/v1/owntracks"), ("post", "/v1/senml"), ("get", "/v1/device"),
    ("get", "/v1/devices/{device}/settings"),
    ("put", "/v1/devices/{device}/settings"), ("post", "/v1/devices/{device}/codes"), ("post", CODE),
    ("get", "/v1/latest"), ("get", "/v1/catalogue"),
    ("get", "/v1/mqtt/accounts"), ("get", "/v1/anomalies"), ("get", "/v1/anomalies/{id}"), ("get", "/v1/windows"),
    ("put", "/v1/anomalies/{id}/label"), ("post", LOGIN), ("post", "/v1/logout"), ("get", "/v1/me"),
    ("post", "/v1/me/password"), ("get", "/v1/people"), ("post", "/v1/people"), ("patch", "/v1/people/{name}"),
    ("post", "/v1/people/{name}/password"), ("delete", "/v1/people/{name}"),
]  # fmt: skip


ENDLESS = [("get", "/v1/live")]  # asked in tests/gateway/live, by clients that go in the end


def test_all_operations_are_exercised(document: dict[str, Any]) -> None:
    assert sorted(PATHS + ENDLESS) == sorted((method, path) for path, method, _ in operations(document))


@pytest.fixture(scope="module")
def read_only() -> Iterator[Running]:
    """One gateway for all the questions that change nothing."""
    with running(fill, limits=UNLIMITED) as app:
        yield app


@pytest.mark.parametrize(("method", "path"), [p for p in PATHS if p[0] == "get"])
def test_a_question_is_answered_as_described(read_only: Running, method: str, path: str) -> None:
    exercise(read_only, method, path)


@pytest.mark.parametrize(("method", "path"), [p for p in PATHS if p[0] != "get"])
def test_a_change_is_answered_as_described(method: str, path: str) -> None:
    with running(fill, limits=UNLIMITED) as app:
        exercise(app, method, path)


def bearer_of(key: str) -> type:
    """How schemathesis sends a key, and leaves it out where it tries without."""

    class Bearer:
        def get(self, case: Any, context: Any) -> str:
            return key

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return Bearer


def exercise(app: Running, method: str, path: str) -> None:
    """Questions that fit the description, half of them about what there is; then such that do not fit."""
    schema = schemathesis.openapi.from_url(f"{app.url}/openapi.json")
    key = app.world.tokens[DEVICE] if path in DEVICE_S else app.world.admin
    schema.auth()(bearer_of(key))
    operation = schema[path][method.upper()]
    ask_many(operation.as_strategy(generation_mode=GenerationMode.POSITIVE).flatmap(about_known), path)
    if operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody"):
        ask_many(wrong(app, method, path), path, headers={"authorization": f"Bearer {key}"})


def about_known(case: Any) -> st.SearchStrategy[Any]:
    """The case, or the same about a device and a sensor that there are: a random name is never found."""
    for part in (case.query or {}, case.path_parameters or {}):
        if "device" in part or "id" in part:
            return st.just(case) | st.builds(renamed, st.just(case))
    return st.just(case)


def renamed(case: Any) -> Any:
    """About what there is; and as no schema can say: a track is of `location`, each field needs some points."""
    for part in (case.query or {}, case.path_parameters or {}):
        sensor = "location" if part.get("format") in {"gpx", "geojson"} else "acceleration"
        known = {
            "device": DEVICE,
            "id": anomaly(DEVICE, 1).id,
            "sensor": sensor,
            "from": 0,
            "to": 2**63 - 1,
            "points": 20,
        }
        part.update({name: value for name, value in known.items() if name in part})
    return case


def wrong(app: Running, method: str, path: str) -> st.SearchStrategy[Any]:
    """Cases that break the description, not only by their key: that is left out of it here."""
    bare = dict(app.world.app.openapi())
    bare["paths"] = {path: {method: {**bare["paths"][path][method], "security": []}}}
    schema = schemathesis.openapi.from_dict(bare)
    schema.config.update(base_url=app.url)
    refusals = schema.config.checks.negative_data_rejection
    refusals.expected_statuses = [*refusals.expected_statuses, "413"]  # it may be over a limit as well
    strategy: st.SearchStrategy[Any] = schema[path][method.upper()].as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return strategy


def ask_many(cases: st.SearchStrategy[Any], path: str, headers: dict[str, str] | None = None) -> None:
    skipped = excluded(path)

    @settings(
        max_examples=EXAMPLES_EACH,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=skipped)

    ask()
