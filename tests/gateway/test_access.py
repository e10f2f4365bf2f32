"""Who may do what: every route of the OpenAPI document, called as everybody."""

import re
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.access import Role
from telemetry.ports import AUDIT, Record
from tests.gateway.found import anomaly
from tests.gateway.gateway_world import World, batch, bearer, browser, gateway, message, stored
from tests.gateway.live.live_world import listening

# What a route needs: this table is the contract, the OpenAPI document must agree with it.
OPEN, LOOPBACK, DEVICE, CODE, PASSWORD, PERSON = "open", "loopback", "device", "code", "password", "person"
NEEDS = {
    "POST /v1/batches": DEVICE,
    "POST /v1/sensor-logger": DEVICE,
    "POST /v1/owntracks": DEVICE,
    "POST /v1/senml": DEVICE,
    "GET /v1/web": OPEN,
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /v1/stats": LOOPBACK,
    "GET /metrics": LOOPBACK,
    "POST /v1/devices": Role.OPERATOR,
    "PATCH /v1/devices/{device}": Role.OPERATOR,
    "POST /v1/devices/{device}/rotate": Role.OPERATOR,
    "POST /v1/devices/{device}/revoke": Role.OPERATOR,
    "POST /v1/devices/{device}/codes": Role.OPERATOR,
    "POST /v1/devices/{device}/setup": Role.OPERATOR,
    "POST /v1/enroll": CODE,
    "GET /v1/mqtt/accounts": Role.ADMIN,
    "POST /v1/deadletters/replay": Role.OPERATOR,
    "PUT /v1/anomalies/{id}/label": Role.OPERATOR,
    "DELETE /v1/devices/{device}": Role.ADMIN,
    "POST /v1/operators": Role.ADMIN,
    "GET /v1/operators": Role.ADMIN,
    "DELETE /v1/operators/{name}": Role.ADMIN,
    "GET /v1/audit": Role.ADMIN,
    "GET /v1/device": DEVICE,
    "GET /v1/devices/{device}/settings": Role.VIEWER,
    "PUT /v1/devices/{device}/settings": Role.OPERATOR,
    "GET /v1/backup": Role.ADMIN,
    "POST /v1/login": PASSWORD,
    "POST /v1/logout": OPEN,
    "GET /v1/me": Role.VIEWER,
    "POST /v1/me/password": PERSON,
    "GET /v1/people": Role.ADMIN,
    "POST /v1/people": Role.ADMIN,
    "PATCH /v1/people/{name}": Role.ADMIN,
    "POST /v1/people/{name}/password": Role.ADMIN,
    "DELETE /v1/people/{name}": Role.ADMIN,
}
QUERIES = ("devices", "readings", "completeness", "claims", "export", "deadletters", "anomalies", "windows")
NEEDS |= {f"GET /v1/{name}": Role.VIEWER for name in QUERIES}
NEEDS["GET /v1/anomalies/{id}"] = Role.VIEWER
NEEDS |= {f"GET /v1/{name}": Role.VIEWER for name in ("live", "latest", "catalogue")}
BODIES: dict[str, Any] = {
    "POST /v1/devices": {"device": "new"},
    "PATCH /v1/devices/{device}": {"platform": "ios"},
    "PUT /v1/devices/{device}/settings": {"sources": {"imu": {"rate_hz": 50}}},
    "POST /v1/devices/{device}/setup": {"code": "K7QM-2XPD", "token": "sl_x"},
    "POST /v1/operators": {"name": "new", "role": "viewer"},
    "POST /v1/enroll": {"code": "K7QM-2XPD"},
    "POST /v1/login": {"name": "a-viewer", "password": "no good"},
    "POST /v1/me/password": {"old": "replaced by each person's own", "new": "five green bottles"},
    "POST /v1/people": {"name": "new", "role": "viewer"},
    "PATCH /v1/people/{name}": {"role": "operator"},
    "POST /v1/deadletters/replay": {"all": True},
    "PUT /v1/anomalies/{id}/label": {"acknowledged": True},
}
PARAMETERS = {"device": "pi", "sensor": "acceleration", "from": "0", "to": "9", "format": "csv"}
ROLES = tuple(role.value for role in Role)
KEYS = ("nobody", "stranger", "device", *ROLES)
COOKIES = ("unknown cookie", *(f"{role}'s cookie" for role in ROLES))
FOREIGN = tuple(f"{role}'s cookie on another site" for role in ROLES)  # a browser sends it along
ELSEWHERE = "https://elsewhere.example"


async def _headers(world: World, who: str) -> dict[str, str]:
    """Who asks, as the request says it."""
    enrolment = world.services.enrolment
    for role in Role:
        await world.person(f"p-{role}", role)
        await enrolment.add_operator(f"a-{role}", role)
    await enrolment.add_operator("gone", "viewer")
    await enrolment.add_person("gone", "viewer")
    device = await world.device("pi")
    if who in ROLES:
        return bearer(await enrolment.add_operator("me", who))
    if who.endswith(("cookie", "site")):
        mine = await world.person("me", who.partition("'")[0] if who in COOKIES[1:] + FOREIGN else "admin")
        stale = browser("slw_unknown") if who == "unknown cookie" else mine
        return stale | ({"origin": ELSEWHERE} if who in FOREIGN else {})
    return bearer({"nobody": None, "stranger": "slk_unknown", "device": device}[who])


def _expected(route: str, who: str) -> int | None:
    """The status that refuses, or None when the caller may."""
    need, role = NEEDS[route], who.partition("'")[0]
    otherwise = {
        CODE: 404,  # no key helps
        PASSWORD: 403 if who in FOREIGN else 401,
        # A cookie is not even looked at.
        DEVICE: {"device": None, "stranger": 401, **dict.fromkeys(ROLES, 403)}.get(who, 401),
    }
    if need in otherwise:
        return otherwise[need]
    if who in FOREIGN and not route.startswith("GET"):
        return 403
    if need == OPEN or (need == LOOPBACK and (who == "nobody" or "cookie" in who)):
        return None
    if role not in ROLES:
        return 403 if who == "device" else 401
    may = "cookie" in who if need == PERSON else _rank(role) >= _rank(Role.VIEWER if need == LOOPBACK else need)
    return None if may else 403


def _rank(role: str) -> int:
    return ROLES.index(role)


async def test_every_route_is_in_the_table() -> None:
    async with gateway() as world:
        routes = await _routes(world)
        assert set(routes) - set(NEEDS) == set(), "say in NEEDS who may call these"


async def _routes(world: World) -> list[str]:
    """Those that end something last: first what is asked, then what is deleted, then whoever asks."""
    async with world.client as client:
        document = (await client.get("/openapi.json")).json()
    routes = [f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods]
    return sorted(routes, key=lambda r: (r == "POST /v1/logout", r.startswith("DELETE")))


@pytest.mark.parametrize("who", KEYS + COOKIES + FOREIGN)
async def test_every_route_lets_in_whom_it_should(who: str) -> None:
    wrong = []
    async with gateway() as world, world.client as client:
        headers = await _headers(world, who)
        await world.services.store.put_anomalies([anomaly("pi")])
        for route in await _routes(world):
            status = (await _call(world, client, route, headers)).status_code
            expected = _expected(route, who)
            if route == "POST /v1/sensor-logger" and expected:
                expected = 499
            if (status != expected) if expected else status in {401, 403, 404, 405, 409, 499} or status >= 500:
                wrong.append(f"{route} as {who}: {status}, not {expected or 'let in'}")
    assert wrong == []


async def _call(world: World, client: httpx.AsyncClient, route: str, headers: dict[str, str]) -> httpx.Response:
    method, template = route.split(" ")
    path = template.replace("{device}", "pi").replace("{name}", "gone").replace("{id}", anomaly("pi").id)
    if route.startswith("POST /v1/batches"):
        content = batch("pi")
    elif route == "POST /v1/sensor-logger":
        content = message("app")
    elif route == "POST /v1/senml":
        content = b'[{"n":"temperature","v":1}]'
    elif route == "POST /v1/owntracks":
        content = b'{"_type":"location","tst":1700000000,"lat":1,"lon":2}'
    elif route == "POST /v1/me/password":
        content = orjson.dumps(BODIES[route] | {"old": world.passwords.get("me", "none")})
    else:
        content = orjson.dumps(BODIES[route]) if route in BODIES else b""
    if template == "/v1/live":  # it never ends: the client goes once it has the headers
        async with listening(world.app, None, headers=headers) as heard:
            return httpx.Response(heard.status)
    query = PARAMETERS if method == "GET" and template in {f"/v1/{q}" for q in QUERIES} else None
    if template in {"/v1/devices", "/v1/deadletters", "/v1/anomalies"}:
        query = None
    client.cookies.clear()  # the cookie is in the header, and must stay what it is there
    return await client.request(method, path, content=content, params=query, headers=headers)


async def test_open_on_loopback_means_this_machine_not_a_proxy_on_it() -> None:
    async with gateway() as world:
        for host, headers, status in [
            ("127.0.0.1", {}, 200),
            ("::1", {}, 200),
            ("192.0.2.7", {}, 401),
            ("127.0.0.1", {"x-forwarded-for": "192.0.2.7"}, 401),
            ("127.0.0.1", {"forwarded": "for=192.0.2.7"}, 401),
        ]:
            transport = httpx.ASGITransport(world.app, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                assert (await client.get("/v1/stats", headers=headers)).status_code == status


async def test_devices_are_enrolled_changed_rotated_revoked_and_deleted() -> None:
    async with gateway() as world, world.client as client:
        admin = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        made = await client.post("/v1/devices", json={"device": "pi", "platform": "ios"}, headers=admin)
        assert made.status_code == 201
        assert made.json()["token"].startswith("sl_")
        assert (await client.post("/v1/devices", json={"device": "pi"}, headers=admin)).status_code == 409
        changed = await client.patch("/v1/devices/pi", json={"standardised": True}, headers=admin)
        assert changed.json() == {"device": "pi", "platform": "ios", "standardised": True}
        rotated = await client.post("/v1/devices/pi/rotate", json={"overlap_s": 60}, headers=admin)
        for token in (made.json()["token"], rotated.json()["token"]):
            answer = await world.post("/v1/batches", batch("pi"), token)
            assert answer.status_code == 200
        one = await client.post("/v1/devices/pi/revoke", json={"token_id": made.json()["token_id"]}, headers=admin)
        assert one.json() == {"device": "pi", "revoked": 1}
        assert (await world.post("/v1/batches", batch("pi"), made.json()["token"])).status_code == 401
        assert (await world.post("/v1/batches", batch("pi"), rotated.json()["token"])).status_code == 200
        assert (await client.post("/v1/devices/pi/revoke", headers=admin)).json() == {"device": "pi", "revoked": 1}
        assert (await client.post("/v1/devices/pi/revoke", headers=admin)).json() == {"device": "pi", "revoked": 0}
        assert (await world.post("/v1/batches", batch("pi"), rotated.json()["token"])).status_code == 401
        deleted = await client.delete("/v1/devices/pi", headers=admin)
        assert deleted.status_code == 200
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", deleted.json()["log_clean_by"])
        assert (await client.delete("/v1/devices/pi", headers=admin)).json() == deleted.json()
        for path in ("/v1/devices/pi/rotate", "/v1/devices/pi/revoke", "/v1/devices/never/rotate"):
            assert (await client.post(path, headers=admin)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"device":"../x"}', 422),
        (b'{"device":".."}', 422),
        (b'{"device":"a/b"}', 422),
        (b'{"device":"x","standardised":1}', 422),
        (b'{"device":"x","colour":"red"}', 422),
        (b'{"device":"x","platform":"windows"}', 422),
        (b'{"device":"' + b"x" * 70_000 + b'"}', 413),
    ],
    ids=lambda v: repr(v)[:40],
)
async def test_bad_orders_are_refused(body: bytes, status: int) -> None:
    async with gateway() as world, world.client as client:
        admin = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        answer = await client.post("/v1/devices", content=body, headers=admin)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status


async def test_the_last_admin_stays() -> None:
    async with gateway() as world, world.client as client:
        admin = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        assert (await client.delete("/v1/operators/boss", headers=admin)).status_code == 409
        await client.post("/v1/operators", json={"name": "second", "role": "admin"}, headers=admin)
        assert (await client.delete("/v1/operators/boss", headers=admin)).status_code == 200
        assert (await client.get("/v1/operators", headers=admin)).status_code == 401


async def test_every_change_is_in_the_audit_trail() -> None:
    async with gateway() as world, world.client as client:
        admin = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        await client.post("/v1/devices", json={"device": "pi"}, headers=admin)
        await client.post("/v1/devices", json={"device": "pi"}, headers=admin)
        await client.patch("/v1/devices/pi", json={"platform": "ios"}, headers=admin)
        await client.post("/v1/devices/pi/rotate", headers=admin)
        await client.post("/v1/devices/pi/revoke", headers=admin)
        await client.delete("/v1/devices/pi", headers=admin)
        await client.post("/v1/operators", json={"name": "v", "role": "viewer"}, headers=admin)
        await client.delete("/v1/operators/v", headers=admin)
        trail = await world.services.audit.recent(100)
        assert [(e["who"], e["what"], e["subject"], e["outcome"]) for e in reversed(trail)] == [
            ("boss", "device.enrol", "pi", "begun"),
            ("boss", "device.enrol", "pi", "begun"),
            ("boss", "device.enrol", "pi", "failed: conflict"),
            ("boss", "device.change", "pi", "begun"),
            ("boss", "device.rotate", "pi", "begun"),
            ("boss", "device.revoke", "pi", "begun"),
            ("boss", "device.delete", "pi", "begun"),
            ("boss", "operator.add", "v", "begun"),
            ("boss", "operator.remove", "v", "begun"),
        ]
        assert len(await world.services.audit.recent(2)) == 2


async def test_without_an_audit_entry_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world, world.client as client:
        admin = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        append = world.log.append

        async def no_audit(topic: Any, records: list[Record]) -> Any:
            from telemetry.errors import LogUnavailable

            if topic == AUDIT:
                raise LogUnavailable("gone")
            return await append(topic, records)

        monkeypatch.setattr(world.log, "append", no_audit)
        answer = await client.post("/v1/devices", json={"device": "pi"}, headers=admin)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert world.services.registry.device("pi") is None
        assert await stored(world.log, AUDIT) == []


async def test_the_key_file_opens_the_gateway(tmp_path: Path) -> None:
    async with gateway(data_dir=tmp_path) as world, world.client as client:
        key = await world.services.enrolment.ensure_operator(tmp_path)
        kept = (tmp_path / "operator.key").read_text().strip()
        assert key == kept
        assert (tmp_path / "operator.key").stat().st_mode & 0o777 == 0o600
        assert (await client.get("/v1/operators", headers=bearer(kept))).status_code == 200
