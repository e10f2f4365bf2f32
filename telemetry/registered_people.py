"""People and their web sessions, as the registry gives them.

    person/<name>/<nonce>   {role, password, epoch, created_ns}      never rewritten: the lowest offset holds
    role/<name>             {person: nonce, role, changed_ns}        what was changed since, ...
    password/<name>         {person: nonce, password, epoch, changed_ns}    ... apart: neither change undoes the other
    websession/<sha256>     {person, epoch, created_ns, expires_ns}  good while the person's password has that epoch

`password` is an argon2id hash, `epoch` changes with the password.  Of a session's cookie only the SHA-256 is kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from telemetry import credentials
from telemetry.ports import Entry

SESSION_PREFIX = "websession/"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a password; `role` is viewer, operator or admin; times in UTC nanoseconds."""

    name: str
    role: str
    created_ns: int
    changed_ns: int
    nonce: str
    epoch: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebSession:
    """A browser in which somebody is logged in."""

    person: Person
    created_ns: int
    expires_ns: int
    digest: str = field(repr=False)


class PeopleRegistry(ABC):
    """The look-ups; what reads records comes from `telemetry.registry`."""

    def person(self, name: str) -> Person | None:
        """The person of that name."""
        claim = self.first(f"person/{name}/")
        return None if claim is None else self._person(claim)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        names = sorted({e.key.split("/")[1] for e in self.entries("person/")})
        return [found for name in names if (found := self.person(name)) is not None]

    def web_session(self, cookie: str, now_ns: int) -> WebSession | None:
        """Whose session this cookie is, or None: unknown, ended, expired, or of an earlier password."""
        if not cookie or len(cookie) > credentials.TOKEN_CHARS_MAX:
            return None
        digest = credentials.digest(cookie)
        kept = self.value(SESSION_PREFIX + digest)
        return self._web_session(digest, kept, now_ns) if kept else None

    def web_sessions(self, now_ns: int) -> Iterator[tuple[str, WebSession | None]]:
        """Every session's digest; None beside those that are no good any more."""
        for entry in self.entries(SESSION_PREFIX):
            digest = entry.key.removeprefix(SESSION_PREFIX)
            kept = self.value(entry.key)
            yield digest, (self._web_session(digest, kept, now_ns) if kept else None)

    def person_keys(self, person: Person) -> list[str]:
        """Every key that a removal removes."""
        claims = [e.key for e in self.entries(f"person/{person.name}/")]
        return [*claims, f"role/{person.name}", f"password/{person.name}"]

    def _web_session(self, digest: str, kept: dict[str, Any], now_ns: int) -> WebSession | None:
        person = self.person(kept["person"])
        if person is None or person.epoch != kept["epoch"] or now_ns >= kept["expires_ns"]:
            return None
        return WebSession(person, kept["created_ns"], kept["expires_ns"], digest)

    def _person(self, claim: Entry) -> Person:
        name, nonce = claim.key.split("/")[1:]
        first = self.value(claim.key) or {}
        role, password = (self._since(f"{kind}/{name}", nonce, first) for kind in ("role", "password"))
        return Person(
            name=name,
            role=role["role"],
            created_ns=first["created_ns"],
            changed_ns=max(each.get("changed_ns", first["created_ns"]) for each in (role, password)),
            nonce=nonce,
            epoch=password["epoch"],
            password=password["password"],
        )

    def _since(self, key: str, nonce: str, first: dict[str, Any]) -> dict[str, Any]:
        changed = self.value(key)
        return changed if changed and changed["person"] == nonce else first

    # --- given by the registry

    @abstractmethod
    def value(self, key: str) -> dict[str, Any] | None:
        """What is kept under a key."""

    @abstractmethod
    def entries(self, prefix: str) -> Iterator[Entry]:
        """The last records of the keys that begin so."""

    @abstractmethod
    def first(self, prefix: str) -> Entry | None:
        """The record of the lowest offset among them."""
