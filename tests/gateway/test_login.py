"""Login over HTTP (threat list, 11): cookies, origins, guessing, and that an end of access holds at once everywhere."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from gateway import tries
from gateway.access import Role, still_holds
from gateway.login_tries import NAME_FREE, NAME_WAIT_S_MAX, LoginTries
from telemetry.clock import ManualClock
from telemetry.errors import RateLimited
from telemetry.people import PASSWORD_FILE
from telemetry.ports import AUDIT, DEVICES, Record, Topic
from tests.gateway.gateway_world import World, bearer, browser, gateway, stored

OURS = {"origin": "http://gateway"}
GOOD = "five green bottles"


@contextlib.asynccontextmanager
async def page(
    world: World, address: str = "192.0.2.1", url: str = "http://gateway"
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser elsewhere: it keeps cookies and names its page's origin."""
    transport = httpx.ASGITransport(world.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url=url, headers={"origin": url}) as client:
        yield client


async def ann(world: World, role: str = "viewer") -> str:
    password: str = await world.services.enrolment.add_person("ann", role)
    return password


async def log_in(client: httpx.AsyncClient, password: str, name: str = "ann") -> httpx.Response:
    return await client.post("/v1/login", json={"name": name, "password": password})


def cookie(answer: httpx.Response) -> Any:
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return morsel


# --- the session and its cookie


async def test_a_login_sets_a_cookie_that_opens_the_station_until_it_ends() -> None:
    clock = ManualClock()
    async with gateway(clock=clock, web={"session_hours": 2}) as world, page(world) as client:
        password = await ann(world, "operator")
        assert (await client.get("/v1/me")).status_code == 401
        answer = await log_in(client, password)
        expires_ns = clock.now_ns() + 2 * 3600 * 10**9
        assert answer.json() == {"name": "ann", "role": "operator", "expires_ns": expires_ns}
        assert answer.headers["cache-control"] == "no-store"
        me = await client.get("/v1/me")
        assert me.json() == {"name": "ann", "role": "operator", "person": True, "expires_ns": expires_ns}
        assert me.headers["cache-control"] == "no-store"
        clock.step_wall(2 * 3600 * 10**9)
        assert (await client.get("/v1/me")).status_code == 401


async def test_the_cookie_is_out_of_reach_of_scripts_other_sites_and_plain_http() -> None:
    async with gateway() as world:
        password = await ann(world)
        async with page(world) as client:
            plain = cookie(await log_in(client, password))
        async with page(world, url="https://gateway") as client:
            secure = cookie(await log_in(client, password))
            assert (await client.get("/v1/me")).status_code == 200
    assert (plain.key, plain["secure"]) == ("sensorline", "")
    assert (secure.key, secure["secure"]) == ("__Host-sensorline", True)
    for morsel in (plain, secure):
        assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["domain"]) == (True, "lax", "/", "")
        assert int(morsel["max-age"]) in (12 * 3600, 12 * 3600 - 1)
        assert len(morsel.value) >= 43  # 256 bits


async def test_by_https_a_cookie_that_another_host_may_have_set_is_not_taken() -> None:
    async with gateway() as world, page(world, url="https://gateway") as client:
        headers = await world.person("ann")
        assert (await client.get("/v1/me", headers=headers)).status_code == 401
        renamed = headers | {"cookie": f"__Host-{headers['cookie']}"}
        assert (await client.get("/v1/me", headers=renamed)).status_code == 200


async def test_behind_a_proxy_that_speaks_https_the_cookie_is_secure() -> None:
    async with gateway(public_url="https://sensors.example") as world:
        password = await ann(world)
        async with page(world, url="http://sensors.example") as client:  # as the proxy asks
            client.headers["origin"] = "https://sensors.example"  # as the browser says
            given = cookie(await log_in(client, password))
            assert (given.key, given["secure"]) == ("__Host-sensorline", True)
            mine = {"cookie": f"{given.key}={given.value}"}
            assert (await client.get("/v1/me", headers=mine)).status_code == 200
            assert (await client.post("/v1/logout", headers=mine)).status_code == 200


async def test_each_login_makes_a_new_session_and_ends_the_one_that_the_browser_had() -> None:
    async with gateway() as world, page(world) as client:
        password = await ann(world)
        client.cookies.set("sensorline", "slw_chosen-by-somebody-else")
        first = cookie(await log_in(client, password))
        assert first.value != "slw_chosen-by-somebody-else"
        second = cookie(await log_in(client, password))
        assert second.value != first.value
        for value, status in [(first.value, 401), (second.value, 200)]:
            client.cookies.clear()
            assert (await client.get("/v1/me", headers=browser(value))).status_code == status


async def test_a_key_stands_alone_and_the_cookie_beside_it_is_ignored() -> None:
    async with gateway() as world, page(world) as client:
        cookies = await world.person("ann", "admin")
        key = await world.services.enrolment.add_operator("grafana", "viewer")
        both = cookies | bearer(key)
        assert (await client.get("/v1/me", headers=both)).json()["name"] == "grafana"
        assert (await client.get("/v1/people", headers=both)).status_code == 403
        assert (await client.get("/v1/people", headers=cookies | bearer("slk_wrong"))).status_code == 401
        assert (await client.post("/v1/logout", headers=both)).status_code == 200
        assert (await client.get("/v1/me", headers=cookies)).status_code == 200


# --- where a change comes from

NOT_OURS = [
    {"origin": "https://elsewhere.example"},
    {"origin": "null"},
    {"origin": "https://gateway"},  # another scheme
    {"origin": "http://gateway:8081"},
    {"origin": "http://gateway.elsewhere.example"},
    {"origin": "http://gateway", "sec-fetch-site": "cross-site"},
    {},
]


@pytest.mark.parametrize("headers", NOT_OURS, ids=str)
async def test_a_cookie_changes_nothing_from_a_page_that_is_not_ours(headers: dict[str, str]) -> None:
    async with gateway() as world, world.client as client:
        mine = await world.person("ann", "admin")
        del mine["origin"]
        before = await stored(world.log, DEVICES)
        for method, path, body in [
            ("POST", "/v1/devices", {"device": "pi"}),
            ("POST", "/v1/logout", None),
            ("POST", "/v1/me/password", {"old": world.passwords["ann"], "new": GOOD}),
            ("DELETE", "/v1/people/ann", None),
        ]:
            answer = await client.request(method, path, json=body, headers=mine | headers)
            assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json"), path
        assert await stored(world.log, DEVICES) == before
        assert await stored(world.log, AUDIT) == []
        assert (await client.get("/v1/me", headers=mine | headers)).status_code == 200


@pytest.mark.parametrize("public_url", ["", "https://sensors.example/", "https://SENSORS.example:443"])
async def test_our_own_page_is_the_one_asked_for_or_the_one_that_the_settings_name(public_url: str) -> None:
    async with gateway(public_url=public_url) as world, world.client as client:
        mine = await world.person("ann", "admin")
        secure = mine | {"cookie": f"__Host-{mine['cookie']}"}
        pages = [(mine, "http://gateway"), (mine, "http://GATEWAY:80"), (secure, "https://sensors.example")]
        for k, (headers, origin) in enumerate(pages[: 3 if public_url else 2]):
            answer = await client.post("/v1/devices", json={"device": f"pi-{k}"}, headers=headers | {"origin": origin})
            assert answer.status_code == 201, origin


async def test_another_site_cannot_log_a_browser_in() -> None:
    async with gateway() as world, world.client as client:
        body = {"name": "ann", "password": await ann(world)}
        for headers in NOT_OURS[:-1]:
            answer = await client.post("/v1/login", json=body, headers=headers)
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        form = {"content-type": "text/plain", "origin": "http://gateway"}
        assert (await client.post("/v1/login", content=b'{"name":"a","password":"b"}', headers=form)).status_code == 422
        assert (await client.post("/v1/login", json=body)).status_code == 200  # a program: no browser leaves it out


# --- guessing


async def test_the_sixth_wrong_try_waits_and_only_that_address() -> None:
    clock = ManualClock()
    async with gateway(clock=clock) as world:
        password = await ann(world)
        async with page(world) as client, page(world, "192.0.2.2") as elsewhere:
            for k in range(tries.ADDRESS_MAX):
                answer = await log_in(client, f"wrong {k}", name="ann" if k % 2 else "nobody")
                assert answer.status_code == 401
                assert answer.json()["detail"] == "wrong name or password"
            refused = await log_in(client, password)
            assert (refused.status_code, "set-cookie" in refused.headers) == (429, False)
            assert 0 < int(refused.headers["retry-after"]) <= tries.WINDOW_S
            assert (await log_in(elsewhere, password)).status_code == 200
            await clock.advance(tries.WINDOW_S)
            await world.table.sync(5)
            assert (await log_in(client, password)).status_code == 200


async def test_tries_at_once_do_not_pass_together() -> None:
    async with gateway() as world, page(world) as client:
        await ann(world)
        answers = await asyncio.gather(*(log_in(client, f"wrong {k}") for k in range(12)))
        assert sorted(a.status_code for a in answers) == [401] * tries.ADDRESS_MAX + [429] * (12 - tries.ADDRESS_MAX)


async def test_right_tries_do_not_count() -> None:
    async with gateway() as world, page(world) as client:
        password = await ann(world)
        for _ in range(tries.ADDRESS_MAX + 2):
            assert (await log_in(client, password)).status_code == 200
        wrong = {"old": "wrong", "new": GOOD}
        for _ in range(tries.ADDRESS_MAX):
            assert (await client.post("/v1/me/password", json=wrong)).status_code == 403
        assert (await client.post("/v1/me/password", json=wrong)).status_code == 429


PROXIED = [  # trusted, from where, what the header says, who it is
    ((), "10.0.0.1", "203.0.113.9", "10.0.0.1"),
    (("10.0.0.0/8",), "10.0.0.1", "203.0.113.9", "203.0.113.9"),
    (("10.0.0.0/8",), "192.0.2.9", "203.0.113.9", "192.0.2.9"),  # no proxy of ours: it says what it likes
    (("10.0.0.0/8",), "10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # what the client made up comes first
    (("10.0.0.0/8",), "10.0.0.1", "203.0.113.9, 10.1.2.3", "203.0.113.9"),
    (("10.0.0.0/8",), "10.0.0.1", "2001:DB8:0::1%what anybody writes", "2001:db8::1"),
    (("10.0.0.1",), "::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
    (("10.0.0.0/8",), "10.0.0.1", "not an address", "10.0.0.1"),
    (("10.0.0.0/8",), "10.0.0.1", None, "10.0.0.1"),
]


@pytest.mark.parametrize(("trusted", "peer", "said", "who"), PROXIED)
async def test_behind_a_trusted_proxy_each_client_has_its_own_tries(
    trusted: tuple[str, ...], peer: str, said: str | None, who: str
) -> None:
    async with gateway(trusted_proxies=trusted) as world, page(world, peer) as client:
        headers = {"x-forwarded-for": said} if said is not None else {}
        await client.post("/v1/login", json={"name": "ann", "password": "wrong"}, headers=headers)
        (entry,) = await world.services.audit.recent(10)
        assert entry["details"] == {"address": who}


def test_a_name_is_slowed_down_from_many_addresses_but_not_where_it_logged_in() -> None:
    counted, now_s = LoginTries(), 1000.0
    counted.begin("192.0.2.200", "ann", now_s).was_right()
    waits = []
    for k in range(NAME_FREE + 8):
        while True:
            try:
                counted.begin(f"198.51.100.{k}", "ann", now_s)
            except RateLimited as e:
                assert e.retry_after_s is not None
                assert e.retry_after_s <= NAME_WAIT_S_MAX
                waits.append(e.retry_after_s)
                now_s += e.retry_after_s
            else:
                break
    assert waits == [1, 2, 4, 8, 16, *[NAME_WAIT_S_MAX] * 3]
    with pytest.raises(RateLimited):
        counted.begin("198.51.100.250", "ann", now_s)
    counted.begin("192.0.2.200", "ann", now_s).was_right()  # its owner, at home
    counted.begin("198.51.100.250", "bob", now_s)
    counted.begin("198.51.100.250", "ann", now_s + NAME_WAIT_S_MAX)  # and elsewhere, in the end


def test_wrong_tries_are_forgotten_also_where_the_owner_makes_them() -> None:
    counted = LoginTries()
    counted.begin("192.0.2.200", "ann", 0.0).was_right()
    for k in range(50):
        counted.begin("192.0.2.200", "ann", k * tries.WINDOW_S)
    assert len(counted._names["ann"].wrong_s) == 1


def test_all_guessers_together_are_bounded_and_the_owner_at_home_is_not() -> None:
    counted, now_s = LoginTries(), 0.0
    counted.begin("192.0.2.200", "ann", now_s).was_right()
    for k in range(tries.EVERYBODY_MAX):
        counted.begin(f"198.51.{k // 250}.{k % 250}", f"name-{k}", now_s)
    with pytest.raises(RateLimited):
        counted.begin("203.0.113.1", "bob", now_s)
    for _ in range(tries.ADDRESS_MAX):
        counted.begin("192.0.2.200", "ann", now_s)
    with pytest.raises(RateLimited):  # the address's own limit holds there as well
        counted.begin("192.0.2.200", "ann", now_s)


# --- an end of access holds at once


@contextlib.asynccontextmanager
async def replicas() -> AsyncIterator[tuple[World, World]]:
    async with gateway() as one, gateway(log=one.log) as other:
        yield one, other


async def both_see(one: World, other: World) -> None:
    await one.table.sync(5)
    await other.table.sync(5)


async def test_logging_out_ends_the_session_on_the_other_replica() -> None:
    async with replicas() as (one, other), one.client as here, other.client as there:
        mine = await one.person("ann")
        await both_see(one, other)
        assert (await there.get("/v1/me", headers=mine)).json()["name"] == "ann"
        out = await here.post("/v1/logout", headers=mine)
        assert (out.status_code, cookie(out).value, cookie(out)["max-age"]) == (200, "", "0")
        await both_see(one, other)
        for client in (here, there):
            assert (await client.get("/v1/me", headers=mine)).status_code == 401
        assert (await here.post("/v1/logout", headers=mine)).status_code == 200


async def test_a_person_who_is_removed_or_changed_has_what_is_left_on_both_replicas() -> None:
    async with replicas() as (one, other), one.client as here, other.client as there:
        boss, mine = await one.person("boss", "admin"), await one.person("ann", "operator")
        steps = [
            ("PATCH", "/v1/people/ann", {"role": "viewer"}, 200, 200, 403),
            ("PATCH", "/v1/people/ann", {"role": "admin"}, 200, 200, 200),
            ("DELETE", "/v1/people/ann", None, 200, 401, 401),
        ]
        for method, path, body, status, may_look, may_administrate in steps:
            assert (await here.request(method, path, json=body, headers=boss)).status_code == status
            await both_see(one, other)
            for client in (here, there):
                assert (await client.get("/v1/me", headers=mine)).status_code == may_look
                assert (await client.get("/v1/people", headers=mine)).status_code == may_administrate


async def test_a_long_answer_learns_that_its_reader_is_out() -> None:
    clock = ManualClock()
    async with gateway(clock=clock) as world:
        mine = await world.person("ann", "operator")
        key = await world.services.enrolment.add_operator("grafana", "viewer")
        by_cookie, by_key = _request(world, mine), _request(world, bearer(key))
        assert [still_holds(r) for r in (by_cookie, by_key)] == [True, True]
        assert [still_holds(r, Role.OPERATOR) for r in (by_cookie, by_key)] == [True, False]
        await world.services.enrolment.add_person("boss", "admin")
        await world.services.enrolment.set_role("ann", "viewer")
        assert not still_holds(by_cookie, Role.OPERATOR)
        await world.services.enrolment.add_operator("boss", "admin")
        await world.services.enrolment.remove_operator("grafana")
        await world.services.enrolment.reset_password("ann")
        assert [still_holds(r) for r in (by_cookie, by_key)] == [False, False]
        assert not still_holds(_request(world, {}))
        again = _request(world, await world.person("bob"))
        assert still_holds(again)
        await world.table.close()
        await clock.advance(world.services.settings.gateway.devices_stale_s + 1)
        assert not still_holds(again)  # it may have ended: nobody knows here


def _request(world: World, headers: dict[str, str]) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in {"host": "gateway", **headers}.items()]
    scope = {"type": "http", "method": "GET", "path": "/v1/live", "headers": raw, "app": world.app, "scheme": "http"}
    return Request(scope | {"query_string": b"", "server": ("gateway", 80)})


# --- people


async def test_an_admin_adds_changes_and_removes_people() -> None:
    async with gateway() as world, world.client as client:
        boss = await world.person("boss", "admin")
        made = await client.post("/v1/people", json={"name": "ann", "role": "viewer"}, headers=boss)
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        assert (
            await client.post("/v1/people", json={"name": "ann", "role": "viewer"}, headers=boss)
        ).status_code == 409
        async with page(world) as anns:
            assert (await log_in(anns, made.json()["password"])).status_code == 200
            reset = await client.post("/v1/people/ann/password", headers=boss)
            assert (await anns.get("/v1/me")).status_code == 401
            assert (await log_in(anns, made.json()["password"])).status_code == 401
            assert (await log_in(anns, reset.json()["password"])).status_code == 200
        changed = (await client.patch("/v1/people/ann", json={"role": "operator"}, headers=boss)).json()
        assert (changed["name"], changed["role"]) == ("ann", "operator")
        listed = (await client.get("/v1/people", headers=boss)).json()["people"]
        assert [(p["name"], p["role"]) for p in listed] == [("ann", "operator"), ("boss", "admin")]
        assert listed[0].keys() == {"name", "role", "created_ns", "changed_ns"}
        assert listed[0]["changed_ns"] > listed[0]["created_ns"]
        assert (await client.patch("/v1/people/boss", json={"role": "viewer"}, headers=boss)).status_code == 409
        assert (await client.delete("/v1/people/boss", headers=boss)).status_code == 409
        assert (await client.delete("/v1/people/ann", headers=boss)).json() == {"name": "ann", "removed": True}
        for method, path in [("PATCH", "ann"), ("DELETE", "ann"), ("POST", "ann/password")]:
            body = {"role": "viewer"} if method == "PATCH" else None
            assert (await client.request(method, f"/v1/people/{path}", json=body, headers=boss)).status_code == 404


async def test_a_person_chooses_a_password_and_the_other_browsers_are_out(tmp_path: Path) -> None:
    async with gateway(data_dir=tmp_path) as world:
        first = await world.services.enrolment.ensure_person(tmp_path)
        assert first is not None
        async with page(world) as one, page(world, "192.0.2.2") as other:
            for client in (one, other):
                assert (await log_in(client, first, "admin")).status_code == 200
            weak = await one.post("/v1/me/password", json={"old": first, "new": "admin"})
            assert (weak.status_code, weak.json()["path"]) == (422, "$.new")
            assert (tmp_path / PASSWORD_FILE).exists()
            assert (await one.post("/v1/me/password", json={"old": first, "new": GOOD})).status_code == 200
            assert [(await c.get("/v1/me")).status_code for c in (one, other)] == [200, 401]
            assert (await log_in(other, first, "admin")).status_code == 401
            assert (await log_in(other, GOOD, "admin")).status_code == 200
            assert not (tmp_path / PASSWORD_FILE).exists()  # it would open nothing


async def test_a_key_has_no_password() -> None:
    async with gateway() as world, world.client as client:
        key = bearer(await world.services.enrolment.add_operator("grafana", "admin"))
        assert (await client.get("/v1/me", headers=key)).json() == {
            "name": "grafana",
            "role": "admin",
            "person": False,
            "expires_ns": None,
        }
        assert (await client.post("/v1/me/password", json={"old": "x", "new": GOOD}, headers=key)).status_code == 403


# --- what is written down


async def test_the_audit_trail_has_logins_and_changes_and_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    written: list[Record] = []
    async with gateway() as world, page(world) as client:
        append = world.log.append

        async def noting(topic: Topic, records: Sequence[Record]) -> Any:
            written.extend(records)
            return await append(topic, records)

        monkeypatch.setattr(world.log, "append", noting)
        secrets = [await ann(world, "admin"), GOOD, "canary-tried-on-ann", "canary-in-the-wrong-field"]
        await log_in(client, secrets[2])
        await log_in(client, "x", name=secrets[3])
        secrets.append(cookie(await log_in(client, secrets[0])).value)
        made = await client.post("/v1/people", json={"name": "bob", "role": "viewer"})
        secrets.append(made.json()["password"])
        await client.patch("/v1/people/bob", json={"role": "operator"})
        secrets.append((await client.post("/v1/people/bob/password")).json()["password"])
        await client.delete("/v1/people/bob")
        await client.post("/v1/me/password", json={"old": "canary-old", "new": GOOD})
        await client.post("/v1/me/password", json={"old": secrets[0], "new": GOOD})
        await client.post("/v1/logout")
        trail = await world.services.audit.recent(100)
        assert [(e["who"], e["what"], e["subject"], e["outcome"]) for e in reversed(trail)] == [
            ("(nobody)", "login", "ann", "failed: unauthorised"),
            ("(nobody)", "login", "(unknown)", "failed: unauthorised"),
            ("ann", "login", "ann", "begun"),
            ("ann", "person.add", "bob", "begun"),
            ("ann", "person.change", "bob", "begun"),
            ("ann", "person.password", "bob", "begun"),
            ("ann", "person.remove", "bob", "begun"),
            ("ann", "password.change", "ann", "begun"),
            ("ann", "password.change", "ann", "failed: forbidden"),
            ("ann", "password.change", "ann", "begun"),
            ("ann", "logout", "ann", "begun"),
        ]
        assert trail[-1]["details"] == {"address": "192.0.2.1"}
        metrics = (await world.client.get("/metrics")).text
        everything = repr(written) + caplog.text + metrics
        assert "person/bob/" in everything
        assert "a login from 192.0.2.1 as ann was refused" in caplog.text
        for secret in [*secrets, "canary-old"]:
            assert secret not in everything


async def test_without_an_audit_entry_nobody_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world, page(world) as client:
        password = await ann(world)
        append = world.log.append

        async def no_audit(topic: Topic, records: Sequence[Record]) -> Any:
            from telemetry.errors import LogUnavailable

            if topic == AUDIT:
                raise LogUnavailable("gone")
            return await append(topic, records)

        monkeypatch.setattr(world.log, "append", no_audit)
        answer = await log_in(client, password)
        assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
        assert list(world.services.registry.entries("websession/")) == []


@pytest.mark.parametrize("name", ["", "a/b", "../admin", "admin/", "\x00", "é" * 100, "x" * 1025, "\ud800"])
async def test_a_name_that_is_none_is_wrong_and_no_fault(name: str) -> None:
    async with gateway() as world, page(world) as client:
        escaped = name.encode("unicode_escape").decode().replace("\\x", "\\u00")
        content = f'{{"name":"{escaped}","password":"x"}}'
        answer = await client.post("/v1/login", content=content, headers={"content-type": "application/json"})
        assert answer.status_code in {401, 422}


async def test_a_backup_takes_no_sessions_along() -> None:
    import zstandard

    async with gateway() as world, world.client as client:
        mine = await world.person("ann", "admin")
        answer = await client.get("/v1/backup", headers=mine)
        text = zstandard.ZstdDecompressor().decompressobj().decompress(answer.content)
        assert b"person/ann/" in text
        assert b"websession/" not in text
