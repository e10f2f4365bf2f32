"""People in the `devices` topic: add, change and remove them, and the first one, whom the first start makes.

Each has a name, a role and a password, of which an argon2id hash is kept (`telemetry.passwords`).
"""

import asyncio
import secrets
from pathlib import Path

from telemetry import credentials
from telemetry.batch import check_name
from telemetry.errors import Conflict, Forbidden, Invalid, Misconfigured, NotFound
from telemetry.first_secret import kept_in
from telemetry.operators import Operators, check_role
from telemetry.passwords import Passwords, check_password, new_password
from telemetry.pen import Pen, gone, record
from telemetry.ports import Record
from telemetry.registered_people import Person

FIRST_PERSON = "admin"
PASSWORD_FILE = "admin.password"  # noqa: S105 - a file's name
PEOPLE_MAX = 500


class People(Operators):
    """Changes to who may log in."""

    def __init__(self, pen: Pen, passwords: Passwords | None = None) -> None:
        super().__init__(pen)
        self.passwords = passwords or Passwords()

    async def add_person(self, name: str, role: str) -> str:
        """A new person's random password, the only time that it is seen; raises `Conflict` when the name is taken."""
        check_name(name, "$.name")
        check_role(role)
        password = new_password()
        kept = await self.passwords.hash(password)
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            people = self._registry.people()
            if len(people) >= PEOPLE_MAX:
                raise Conflict(f"there are {PEOPLE_MAX} people already", path="$.name")
            if any(p.name == name for p in people) or not await self._join(name, role, kept, secrets.token_hex(8)):
                raise Conflict(f"there is a person {name}", path="$.name")
        return password

    async def set_role(self, name: str, role: str) -> Person:
        """Let a person do more or less, at once; raises `NotFound`, and `Conflict` for the last admin."""
        check_role(role)
        async with self._pen.one_at_a_time:
            now = await self._known_person(name)
            if role != "admin":
                self._check_not_last_admin(now)
            value = {"person": now.nonce, "role": role, "changed_ns": self._pen.clock.now_ns()}
            await self._pen.append([record(f"role/{name}", value)])
            return self._registry.person(name) or now

    async def reset_password(self, name: str) -> str:
        """A new random password, in place of a forgotten one; ends all sessions.  Raises `NotFound`."""
        password = new_password()
        kept = await self.passwords.hash(password)
        async with self._pen.one_at_a_time:
            now = await self._known_person(name)
            await self._pen.append([self._password_record(now, kept, secrets.token_hex(8))])
        return password

    async def change_password(self, person: Person, old: str, new: str, *, session: str) -> None:
        """A person's own choice; of the sessions only the one of that digest goes on.

        Raises `Forbidden` when `old` is wrong, `Invalid` when `new` is too weak, `NotFound`.
        """
        if not await self.passwords.is_right(person.password, old):
            raise Forbidden("the old password is wrong", path="$.old")
        check_password(person.name, new, "$.new")
        kept, epoch = await self.passwords.hash(new), secrets.token_hex(8)
        async with self._pen.one_at_a_time:
            now = await self._known_person(person.name)
            if now.epoch != person.epoch:
                raise Conflict("the password was changed meanwhile: log in with it")
            here = self._registry.value(f"websession/{session}")
            goes_on = [record(f"websession/{session}", here | {"epoch": epoch})] if here else []
            await self._pen.append([self._password_record(now, kept, epoch), *goes_on])

    async def remove_person(self, name: str) -> None:
        """End a person's access, at once; raises `NotFound`, and `Conflict` for the last admin."""
        async with self._pen.one_at_a_time:
            now = await self._known_person(name)
            self._check_not_last_admin(now)
            await self._pen.append(gone(self._registry.person_keys(now)))

    async def ensure_person(self, data_dir: Path) -> str | None:
        """At the first start make the admin, keep the password in `data_dir`/admin.password (0600) and return it, to
        be printed once; None when there are people already.

        The file comes first: a crash between file and registry leaves a password that the next start registers.
        Raises `Misconfigured` when the file was there already with none, or with a weak one.
        """
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            if self._registry.people():
                return None
            path = data_dir / PASSWORD_FILE
            password = await asyncio.to_thread(kept_in, path, new_password())
            _check_first(path, password)
            # Gateways that share the folder make the same claim, and so agree; of 100 random bits this tells nothing.
            nonce = credentials.digest(f"{FIRST_PERSON} {password}")[:16]
            if await self._join(FIRST_PERSON, "admin", await self.passwords.hash(password), nonce):
                return password
            await asyncio.to_thread(path.unlink, missing_ok=True)  # another gateway was first: this opens nothing
            return None

    async def _join(self, name: str, role: str, kept: str, nonce: str) -> bool:
        """False when somebody of that name was first."""
        key = f"person/{name}/{nonce}"
        value = {"role": role, "password": kept, "epoch": nonce, "created_ns": self._pen.clock.now_ns()}
        await self._pen.append([record(key, value)])
        winner = self._registry.person(name)
        if winner is not None and winner.nonce == nonce:
            return True
        await self._pen.append(gone([key]))
        return False

    async def _known_person(self, name: str) -> Person:
        await self._pen.sync()
        return self.known_person(name)

    def known_person(self, name: str) -> Person:
        """The person of that name; raises `NotFound`."""
        found = self._registry.person(name)
        if found is None:
            raise NotFound(f"there is no person {name[:64]}")
        return found

    def _check_not_last_admin(self, person: Person) -> None:
        if person.role == "admin" and not any(
            p.role == "admin" for p in self._registry.people() if p.name != person.name
        ):
            raise Conflict(f"{person.name} is the last admin: add another first")

    def _password_record(self, person: Person, kept: str, epoch: str) -> Record:
        value = {"person": person.nonce, "password": kept, "epoch": epoch, "changed_ns": self._pen.clock.now_ns()}
        return record(f"password/{person.name}", value)


def _check_first(path: Path, password: str) -> None:
    """It is of somebody's choice if the file was there."""
    try:
        check_password(FIRST_PERSON, password, "$.password")
    except Invalid as e:
        raise Misconfigured(f"{path}: {e.message}; remove it, and the next start makes one") from e


async def forget_first_password(data_dir: Path, name: str) -> None:
    """Remove the first admin's password file once it opens nothing any more."""
    if name == FIRST_PERSON:
        await asyncio.to_thread((data_dir / PASSWORD_FILE).unlink, missing_ok=True)
