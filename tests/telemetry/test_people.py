"""People and their web sessions: what is kept, what holds at once on every gateway, and the first start."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters, profiles

from telemetry.clock import ManualClock
from telemetry.enrolment import Enrolment
from telemetry.errors import Conflict, Forbidden, Invalid, Misconfigured, NotFound, RateLimited, Unauthorised
from telemetry.logs.memory import Config, MemoryLog
from telemetry.passwords import AT_ONCE, WAITING_MAX, Passwords, check_password, new_password
from telemetry.people import PASSWORD_FILE, PEOPLE_MAX
from telemetry.ports import DEVICES, Record
from telemetry.registered_people import Person
from telemetry.registry import Registry
from telemetry.table import Table
from telemetry.websessions import SESSIONS_MAX, LoggedIn
from tests.gateway.gateway_world import stored

LIFE_S = 3600.0
GOOD = "five green bottles"


class Side:
    """One gateway's view and pen."""

    def __init__(self, log: MemoryLog, table: Table, clock: ManualClock) -> None:
        self.log = log
        self.clock = clock
        self.registry = Registry(table)
        self.pen = Enrolment(log, self.registry, clock, wait_s=5)
        self.pen.passwords = cheap()

    async def log_in(self, name: str, password: str) -> LoggedIn:
        person = await self.pen.log_in(name, password)
        return await self.pen.begin_session(person, life_s=LIFE_S, replaces=None)

    def whose(self, cookie: str) -> str | None:
        session = self.registry.web_session(cookie, self.clock.now_ns())
        return session.person.name if session else None

    async def sees(self) -> None:
        await self.registry.sync(5)


def cheap(time_cost: int = 1) -> Passwords:
    """The real algorithm with parameters that take no time."""
    return Passwords(PasswordHasher(time_cost=time_cost, memory_cost=8, parallelism=1))


@contextlib.asynccontextmanager
async def sides(n: int = 1) -> AsyncIterator[list[Side]]:
    clock = ManualClock()
    log = MemoryLog(Config(), clock=clock)
    await log.start()
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(n):
            table = await Table.open(log, DEVICES)
            stack.push_async_callback(table.close)
            made.append(Side(log, table, clock))
        yield made


# --- passwords


async def test_hashes_are_argon2id_with_the_low_memory_parameters_of_rfc_9106() -> None:
    kept = await Passwords().hash(GOOD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert extract_parameters(kept) == profiles.RFC_9106_LOW_MEMORY


async def test_a_password_is_the_same_however_its_characters_were_composed() -> None:
    passwords = cheap()
    kept = await passwords.hash("caf\u00e9 au lait, deux")
    assert await passwords.is_right(kept, "cafe\u0301 au lait, deux")
    assert not await passwords.is_right(kept, "cafe au lait, deux")


async def test_an_unknown_name_costs_a_verification_and_never_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    kept = await passwords.hash(GOOD)
    assert await passwords.is_right(kept, GOOD)
    verified = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, hashed: str | bytes, password: str | bytes) -> bool:
        verified.append(extract_parameters(str(hashed)))
        return verify(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    assert not await passwords.is_right(None, GOOD)
    assert not await passwords.is_right(kept, "wrong")
    assert len(verified) == 2
    assert verified[0] == verified[1]


async def test_few_hash_at_once_and_few_wait() -> None:
    now, most, gate, lock = 0, 0, threading.Event(), threading.Lock()

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            gate.wait(10)
            with lock:
                now -= 1
            return "kept"

    passwords = Passwords(Slow())
    running = [asyncio.create_task(passwords.hash("x")) for _ in range(WAITING_MAX + AT_ONCE)]
    while now < AT_ONCE:
        await asyncio.sleep(0.01)
    with pytest.raises(RateLimited):
        await passwords.hash("x")
    gate.set()
    assert await asyncio.gather(*running) == ["kept"] * (WAITING_MAX + AT_ONCE)
    assert most == AT_ONCE
    assert await passwords.hash("x") == "kept"  # there is room again


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 257, "1" * 20, "ababababababab", "gertrude1234", "sensorline12", "GertrudeGertrude"]
)
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_password("gertrude", password, "$.new")
    assert refused.value.path == "$.new"
    assert password not in refused.value.message or not password


def test_new_passwords_are_random_and_pass_the_check() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_password("admin", password, "$")
        assert len(password) == 23


# --- people


async def test_a_person_logs_in_on_every_gateway() -> None:
    async with sides(2) as (a, b):
        password = await a.pen.add_person("ann", "operator")
        logged_in = await a.log_in("ann", password)
        await b.sees()
        assert (a.whose(logged_in.cookie), b.whose(logged_in.cookie)) == ("ann", "ann")
        assert logged_in.expires_ns == a.clock.now_ns() + round(LIFE_S * 1e9)
        for name, tried in [("ann", "wrong"), ("ann", ""), ("nobody", password), ("Ann", password)]:
            with pytest.raises(Unauthorised, match="wrong name or password"):
                await b.log_in(name, tried)


async def test_neither_password_nor_cookie_is_in_the_log() -> None:
    async with sides() as (side,):
        password = await side.pen.add_person("ann", "viewer")
        logged_in = await side.log_in("ann", password)
        kept = repr(await stored(side.log, DEVICES))
        assert "person/ann/" in kept
        assert "websession/" in kept
        for secret in (password, logged_in.cookie):
            assert secret not in kept
            assert secret not in repr(side.registry.people())


async def test_a_name_is_given_once_also_by_two_gateways_at_a_time() -> None:
    async with sides(2) as (a, b):
        made = await asyncio.gather(
            a.pen.add_person("ann", "viewer"), b.pen.add_person("ann", "admin"), return_exceptions=True
        )
        (password,) = [m for m in made if isinstance(m, str)]
        assert sum(isinstance(m, Conflict) for m in made) == 1
        for side in (a, b):
            await side.sees()
            assert (await side.log_in("ann", password)).person.role == ("viewer" if made[0] == password else "admin")
        with pytest.raises(Conflict):
            await b.pen.add_person("ann", "viewer")


async def test_a_role_holds_at_once_and_sessions_go_on() -> None:
    async with sides(2) as (a, b):
        password = await a.pen.add_person("ann", "viewer")
        cookie = (await a.log_in("ann", password)).cookie
        await b.pen.set_role("ann", "admin")
        await a.sees()
        session = a.registry.web_session(cookie, a.clock.now_ns())
        assert session is not None
        assert session.person.role == "admin"
        for wrong, error in [("root", Invalid), ("", Invalid)]:
            with pytest.raises(error):
                await a.pen.set_role("ann", wrong)
        with pytest.raises(NotFound):
            await a.pen.set_role("nobody", "viewer")


async def test_a_removed_person_is_out_and_the_name_is_free_without_the_old_sessions() -> None:
    async with sides(2) as (a, b):
        await a.pen.add_person("boss", "admin")
        old = await a.pen.add_person("ann", "viewer")
        cookie = (await a.log_in("ann", old)).cookie
        await b.pen.remove_person("ann")
        await a.sees()
        assert a.whose(cookie) is None
        with pytest.raises(Unauthorised):
            await a.log_in("ann", old)
        new = await a.pen.add_person("ann", "viewer")
        assert a.whose(cookie) is None
        assert a.whose((await a.log_in("ann", new)).cookie) == "ann"
        with pytest.raises(Unauthorised):
            await a.log_in("ann", old)


async def test_the_last_admin_stays_an_admin() -> None:
    async with sides() as (side,):
        await side.pen.add_person("boss", "admin")
        await side.pen.add_person("ann", "operator")
        with pytest.raises(Conflict):
            await side.pen.remove_person("boss")
        with pytest.raises(Conflict):
            await side.pen.set_role("boss", "operator")
        await side.pen.set_role("ann", "admin")
        await side.pen.set_role("boss", "operator")
        assert [(p.name, p.role) for p in side.registry.people()] == [("ann", "admin"), ("boss", "operator")]


async def test_a_new_password_ends_the_other_sessions() -> None:
    async with sides(2) as (a, b):
        old = await a.pen.add_person("ann", "viewer")
        here, there = [(await a.log_in("ann", old)).cookie for _ in range(2)]
        session = a.registry.web_session(here, a.clock.now_ns())
        assert session is not None
        with pytest.raises(Forbidden):
            await a.pen.change_password(session.person, "wrong", GOOD, session=session.digest)
        with pytest.raises(Invalid):
            await a.pen.change_password(session.person, old, "short", session=session.digest)
        await a.pen.change_password(session.person, old, GOOD, session=session.digest)
        await b.sees()
        for side in (a, b):
            assert (side.whose(here), side.whose(there)) == ("ann", None)
        with pytest.raises(Unauthorised):
            await b.log_in("ann", old)
        assert (await b.log_in("ann", GOOD)).person.name == "ann"


async def test_a_reset_ends_all_sessions_and_keeps_the_role() -> None:
    async with sides() as (side,):
        old = await side.pen.add_person("ann", "viewer")
        await side.pen.set_role("ann", "operator")
        cookie = (await side.log_in("ann", old)).cookie
        new = await side.pen.reset_password("ann")
        assert side.whose(cookie) is None
        assert (await side.log_in("ann", new)).person.role == "operator"
        with pytest.raises(NotFound):
            await side.pen.reset_password("nobody")


async def test_a_login_with_a_password_that_is_changed_meanwhile_opens_nothing() -> None:
    async with sides(2) as (a, b):
        old = await a.pen.add_person("ann", "viewer")
        person = await a.pen.log_in("ann", old)
        await b.sees()
        await b.pen.reset_password("ann")
        with pytest.raises(Unauthorised):
            await a.pen.begin_session(person, life_s=LIFE_S, replaces=None)


async def test_a_hash_with_old_parameters_is_renewed_at_the_next_login() -> None:
    async with sides() as (side,):
        password = await side.pen.add_person("ann", "viewer")
        cookie = (await side.log_in("ann", password)).cookie
        before = person_of(side, "ann").password
        assert (await side.log_in("ann", password)).person.password == before
        assert person_of(side, "ann").password == before
        side.pen.passwords = cheap(time_cost=2)
        await side.log_in("ann", password)
        after = person_of(side, "ann").password
        assert extract_parameters(after).time_cost == 2
        assert side.whose(cookie) == "ann"
        assert (await side.log_in("ann", password)).person.password == after


async def test_there_is_an_end_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.people.PEOPLE_MAX", 2)
    assert PEOPLE_MAX > 2
    async with sides() as (side,):
        for name in ("a", "b"):
            await side.pen.add_person(name, "viewer")
        with pytest.raises(Conflict):
            await side.pen.add_person("c", "viewer")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * 65, "a b", "é"])
async def test_names_reach_keys_through_an_allow_list(name: str) -> None:
    async with sides() as (side,):
        with pytest.raises(Invalid):
            await side.pen.add_person(name, "viewer")


# --- sessions


async def test_a_session_ends_by_time_and_by_logging_out_everywhere() -> None:
    async with sides(2) as (a, b):
        password = await a.pen.add_person("ann", "viewer")
        first, second = [(await a.log_in("ann", password)).cookie for _ in range(2)]
        await b.sees()
        session = b.registry.web_session(first, b.clock.now_ns())
        assert session is not None
        await b.pen.end_session(session)
        await a.sees()
        assert (a.whose(first), a.whose(second)) == (None, "ann")
        await a.clock.advance(LIFE_S + 1)
        assert a.whose(second) is None


async def test_sessions_that_are_over_leave_the_registry_at_logins_and_a_person_has_a_bounded_number() -> None:
    async with sides() as (side,):
        password = await side.pen.add_person("ann", "viewer")
        other = await side.pen.add_person("bob", "viewer")
        early = [(await side.log_in("ann", password)).cookie for _ in range(3)]
        await side.clock.advance(LIFE_S + 1)
        bobs = (await side.log_in("bob", other)).cookie
        assert kept_sessions(side) == 1
        assert {side.whose(c) for c in early} == {None}
        cookies = []
        for _ in range(SESSIONS_MAX + 3):
            await side.clock.advance(1.0)
            cookies.append((await side.log_in("ann", password)).cookie)
        assert kept_sessions(side) == SESSIONS_MAX + 1
        assert [side.whose(c) for c in cookies] == [None] * 3 + ["ann"] * SESSIONS_MAX
        assert side.whose(bobs) == "bob"


async def test_a_new_session_takes_the_place_of_the_one_this_browser_had() -> None:
    async with sides() as (side,):
        password = await side.pen.add_person("ann", "viewer")
        old = await side.log_in("ann", password)
        session = side.registry.web_session(old.cookie, side.clock.now_ns())
        assert session is not None
        person = await side.pen.log_in("ann", password)
        new = await side.pen.begin_session(person, life_s=LIFE_S, replaces=session.digest)
        assert new.cookie != old.cookie
        assert (side.whose(old.cookie), side.whose(new.cookie)) == (None, "ann")


# --- the first start


async def test_the_first_start_makes_one_admin(tmp_path: Path) -> None:
    async with sides(2) as (a, b):
        password = await a.pen.ensure_person(tmp_path)
        assert password is not None
        file = tmp_path / PASSWORD_FILE
        assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (password, 0o600)
        assert (await a.log_in("admin", password)).person.role == "admin"
        assert await a.pen.ensure_person(tmp_path) is None
        assert await b.pen.ensure_person(tmp_path / "elsewhere") is None
        assert not (tmp_path / "elsewhere" / PASSWORD_FILE).exists()


async def test_two_gateways_start_first_and_one_password_holds(tmp_path: Path) -> None:
    async with sides(2) as (a, b):
        dirs = [tmp_path / "a", tmp_path / "b"]
        made = await asyncio.gather(a.pen.ensure_person(dirs[0]), b.pen.ensure_person(dirs[1]))
        (password,) = [m for m in made if m is not None]
        assert [(d / PASSWORD_FILE).exists() for d in dirs] == [m is not None for m in made]
        for side in (a, b):
            await side.sees()
            assert (await side.log_in("admin", password)).person.name == "admin"


async def test_two_gateways_that_share_a_folder_agree_on_one_password(tmp_path: Path) -> None:
    async with sides(2) as (a, b):
        made = await asyncio.gather(a.pen.ensure_person(tmp_path), b.pen.ensure_person(tmp_path))
        kept = (tmp_path / PASSWORD_FILE).read_text().strip()
        assert set(made) - {None} == {kept}
        await b.sees()
        assert (await b.log_in("admin", kept)).person.name == "admin"
        assert await asyncio.to_thread(os.listdir, tmp_path) == [PASSWORD_FILE]  # no half-made file stays


@pytest.mark.parametrize("content", ["", " \n", "admin\n", "canary\n"])
async def test_a_first_password_that_somebody_left_empty_or_weak_lets_nobody_in(content: str, tmp_path: Path) -> None:
    (tmp_path / PASSWORD_FILE).write_text(content)
    async with sides() as (side,):
        with pytest.raises(Misconfigured, match=PASSWORD_FILE) as refused:
            await side.pen.ensure_person(tmp_path)
        assert "canary" not in str(refused.value)
        assert side.registry.people() == []


async def test_a_first_password_that_somebody_left_readable_is_so_no_more(tmp_path: Path) -> None:
    file = tmp_path / PASSWORD_FILE
    file.write_text(new_password())
    file.chmod(0o644)
    async with sides() as (side,):
        await side.pen.ensure_person(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_crash_between_file_and_registry_is_mended_by_the_next_start(tmp_path: Path) -> None:
    password = new_password()
    (tmp_path / PASSWORD_FILE).write_text(password + "\n")
    async with sides() as (side,):
        assert await side.pen.ensure_person(tmp_path) == password
        assert (await side.log_in("admin", password)).person.name == "admin"


async def test_what_a_loser_wrote_late_does_not_hold() -> None:
    async with sides() as (side,):
        password = await side.pen.add_person("ann", "viewer")
        value = b'{"role":"admin","password":"x","epoch":"y","created_ns":0}'
        late = [Record("person/ann/ffff", value), Record("role/ann", b'{"person":"ffff","role":"admin"}')]
        await side.log.append(DEVICES, late)
        await side.sees()
        assert (await side.log_in("ann", password)).person.role == "viewer"


def person_of(side: Side, name: str) -> Person:
    found = side.registry.person(name)
    assert found is not None
    return found


def kept_sessions(side: Side) -> int:
    return sum(1 for _ in side.registry.entries("websession/"))
