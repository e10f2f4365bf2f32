"""Operators' keys in the `devices` topic: add, remove, and the first one, which the first start makes."""

import asyncio
import contextlib
from pathlib import Path

from telemetry import credentials
from telemetry.batch import check_name
from telemetry.errors import Conflict, Invalid, NotFound
from telemetry.first_secret import kept_in
from telemetry.pen import Pen, gone, record

ROLES = ("viewer", "operator", "admin")
FIRST_OPERATOR = "first"
KEY_FILE = "operator.key"


class Operators:
    """Changes to who may ask and operate."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._registry = pen.registry

    async def add_operator(self, name: str, role: str) -> str:
        """A new operator's key, the only time that it is seen; raises `Conflict` when the name is taken."""
        check_name(name, "$.name")
        check_role(role)
        made = credentials.new_credential(credentials.OPERATOR_PREFIX)
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            if not await self._register(name, role, made.digest):
                raise Conflict(f"there is an operator {name}; remove it first", path="$.name")
        return made.secret

    async def remove_operator(self, name: str) -> None:
        """End an operator's key; raises `NotFound`, and `Conflict` for the last admin."""
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            everyone = self._registry.operators()
            theirs = [o for o in everyone if o.name == name]
            if not theirs:
                raise NotFound(f"there is no operator {name[:64]}")
            if not any(o.role == "admin" for o in everyone if o.name != name):
                raise Conflict(f"{name} is the last admin: add another first")
            await self._pen.append(gone([f"operator/{o.digest}" for o in theirs]))

    async def ensure_operator(self, data_dir: Path) -> str | None:
        """At the first start make an admin's key, keep it in `data_dir`/operator.key (0600) and return it, to be
        printed once; None when there are operators already.

        The file comes first: a crash between file and registry leaves a key that the next start registers.
        """
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            if self._registry.operators():
                return None
            path = data_dir / KEY_FILE
            made = credentials.new_credential(credentials.OPERATOR_PREFIX).secret
            key = await asyncio.to_thread(kept_in, path, made)
            if await self._register(FIRST_OPERATOR, "admin", credentials.digest(key)):
                return key
            await asyncio.to_thread(path.unlink, missing_ok=True)  # another gateway was first: this key opens nothing
            return None

    async def _register(self, name: str, role: str, digest: str) -> bool:
        if any(o.name == name and o.digest != digest for o in self._registry.operators()):
            return False
        value = {"name": name, "role": role, "created_ns": self._pen.clock.now_ns()}
        await self._pen.append([record(f"operator/{digest}", value)])
        first = next((o for o in self._registry.operators() if o.name == name), None)
        if first is not None and first.digest == digest:
            return True
        await self._pen.append(gone([f"operator/{digest}"]))
        return False


def operator_key(data_dir: Path) -> str | None:
    """The first operator's key as kept at the first start, for the command line; None when there is no file."""
    with contextlib.suppress(FileNotFoundError):
        return (data_dir / KEY_FILE).read_text().strip() or None
    return None


def check_role(role: str) -> None:
    """Raises `Invalid`."""
    if role not in ROLES:
        raise Invalid(f"role must be one of {', '.join(ROLES)}", path="$.role")
