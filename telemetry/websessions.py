"""Logging in and out: a browser's session is a random cookie, known to every gateway by its SHA-256."""

from typing import NamedTuple

from telemetry import credentials
from telemetry.batch import NAME
from telemetry.errors import Unauthorised
from telemetry.pen import gone, record
from telemetry.people import People
from telemetry.ports import Record
from telemetry.registered_people import Person, WebSession

COOKIE_PREFIX = "slw_"
SESSIONS_MAX = 16  # of a person; one more ends the oldest
TIDIED_MAX = 500  # ended sessions removed at one login


class LoggedIn(NamedTuple):
    """A new session; `cookie` is seen this once."""

    person: Person
    cookie: str
    expires_ns: int


class WebSessions(People):
    """Makes and ends sessions."""

    async def log_in(self, name: str, password: str) -> Person:
        """Who it is; raises `Unauthorised`, which does not tell a wrong name and a wrong password apart."""
        person = self._registry.person(name) if NAME.fullmatch(name) else None
        right = await self.passwords.is_right(person.password if person else None, password)
        if person is None or not right:
            raise Unauthorised("wrong name or password")
        if self.passwords.is_outdated(person.password):
            await self._rehash(person, password)
        return person

    async def begin_session(self, person: Person, *, life_s: float, replaces: str | None) -> LoggedIn:
        """A new session, in place of the one of that digest, which this browser had."""
        made = credentials.new_credential(COOKIE_PREFIX)
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            now_ns = self._pen.clock.now_ns()
            expires_ns = now_ns + round(life_s * 1e9)
            value = {"person": person.name, "epoch": person.epoch, "created_ns": now_ns, "expires_ns": expires_ns}
            mine = record(f"websession/{made.digest}", value)
            await self._pen.append([mine, *self._tidied(person, now_ns, replaces)])
            if self._registry.web_session(made.secret, now_ns) is None:  # removed, or another password, just now
                raise Unauthorised("wrong name or password")
        return LoggedIn(person, made.secret, expires_ns)

    async def end_session(self, session: WebSession) -> None:
        """Log out: the cookie opens nothing any more, on any gateway."""
        async with self._pen.one_at_a_time:
            await self._pen.append(gone([f"websession/{session.digest}"]))

    async def _rehash(self, person: Person, password: str) -> None:
        """The same password with today's parameters; its sessions go on."""
        kept = await self.passwords.hash(password)
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            now = self._registry.person(person.name)
            if now is not None and now.password == person.password:
                await self._pen.append([self._password_record(now, kept, now.epoch)])

    def _tidied(self, person: Person, now_ns: int, replaces: str | None) -> list[Record]:
        """The removal of the replaced session, of a person's oldest ones, and of some that are over."""
        over, theirs = [], []
        for digest, session in self._registry.web_sessions(now_ns):
            if session is None:
                over.append(digest)
            elif digest != replaces and session.person.name == person.name:
                theirs.append(session)
        theirs.sort(key=lambda s: s.created_ns)
        surplus = [s.digest for s in theirs[: max(0, len(theirs) - SESSIONS_MAX + 1)]]
        ended = [*surplus, *over[:TIDIED_MAX], *([replaces] if replaces else [])]
        return gone([f"websession/{digest}" for digest in ended])
