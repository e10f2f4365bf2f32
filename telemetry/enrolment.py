"""Changes to the `devices` topic: enrol, rotate, revoke, pin, delete, operators' keys.

Each change is appended, and the answer is given after reading it back: of two gateways that race, the first
offset wins and both say so.  Raises `LogUnavailable` when the log does not answer in time.
"""

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from telemetry import credentials
from telemetry.batch import check_name
from telemetry.clock import Clock
from telemetry.errors import Conflict, Invalid, LogUnavailable, NotFound
from telemetry.ports import DEVICES, Log, Record
from telemetry.registry import Device, Holder, Operator, Registry

PLATFORMS = ("", "android", "ios")
ROLES = ("viewer", "operator", "admin")
FIRST_OPERATOR = "first"
KEY_FILE = "operator.key"
SOURCE_ID_CHARS_MAX = 256


class Issued(NamedTuple):
    """A device's new token: the only time that it is seen."""

    device: str
    token: str
    token_id: str


class Enrolment:
    """The one writer of the registry in a process; its changes are made one after another."""

    def __init__(self, log: Log, registry: Registry, clock: Clock, *, wait_s: float = 10.0) -> None:
        self._log = log
        self._registry = registry
        self._clock = clock
        self._wait_s = wait_s
        self._one_at_a_time = asyncio.Lock()

    async def enrol(self, device: str, *, platform: str = "", standardised: bool = False) -> Issued:
        """A new device and its first token; raises `Conflict` when there is one of that name."""
        check_name(device, "$.device")
        _check_platform(platform)
        async with self._one_at_a_time:
            await self._registry.sync(self._wait_s)
            if self._registry.device(device) is not None:
                raise _taken(device)
            nonce = secrets.token_hex(8)
            after_ns = self._registry.deleted_ns(device) or 0
            registered_ns = max(self._clock.now_ns(), after_ns + 1)
            claim = {"registered_ns": registered_ns, "platform": platform, "standardised": standardised}
            issued, records = self._new_token(device, nonce)
            await self._append([_record(f"enrol/{device}/{nonce}", claim), *records])
            winner = self._registry.device(device)
            if winner is None or winner.enrolment != nonce:
                await self._append([Record(f"enrol/{device}/{nonce}", None), *(Record(r.key, None) for r in records)])
                raise _taken(device)
            return issued

    async def update(self, device: str, *, platform: str | None = None, standardised: bool | None = None) -> Device:
        """Change how a device measures; raises `NotFound`."""
        _check_platform(platform or "")
        async with self._one_at_a_time:
            now = await self._known(device)
            changed = {
                "enrolment": now.enrolment,
                "platform": now.platform if platform is None else platform,
                "standardised": now.standardised if standardised is None else standardised,
            }
            await self._append([_record(f"device/{device}", changed)])
            return self._registry.device(device) or now

    async def rotate(self, device: str, *, overlap_s: float) -> Issued:
        """A new token; the others end after the overlap.  Raises `NotFound`."""
        async with self._one_at_a_time:
            now = await self._known(device)
            ends_ns = self._clock.now_ns() + round(overlap_s * 1e9)
            issued, records = self._new_token(device, now.enrolment)
            for digest in self._registry.digests(now):
                token = self._registry.token_value(digest)
                if token["expires_ns"] is None or token["expires_ns"] > ends_ns:
                    records.append(_record(f"token/{digest}", token | {"expires_ns": ends_ns}))
            await self._append(records)
            return issued

    async def revoke(self, device: str, *, token_id: str | None = None) -> int:
        """End one token, or all, at once; returns how many were ended.  Raises `NotFound`."""
        async with self._one_at_a_time:
            now = await self._known(device)
            digests = self._registry.digests(now)
            if token_id is not None:
                digests = [d for d in digests if credentials.public_id(d) == token_id]
                if not digests:
                    raise NotFound(f"{device} has no token {token_id[:64]}", path="$.token_id")
            valid = [d for d in digests if not self._registry.is_revoked(d)]
            if valid:
                at = {"at_ns": self._clock.now_ns()}
                await self._append([_record(f"revoked/{d}", at) for d in valid])
            return len(valid)

    async def delete(self, device: str) -> int:
        """Forget a device and its tokens; returns when (UTC nanoseconds): what was received until then is to be
        unreadable.  Safe to repeat.  Raises `NotFound` when it was never enrolled."""
        async with self._one_at_a_time:
            await self._registry.sync(self._wait_s)
            now = self._registry.device(device)
            before_ns = self._registry.deleted_ns(device)
            if now is None:
                if before_ns is None:
                    raise _unknown(device)
                return before_ns
            deleted_ns = max(self._clock.now_ns(), now.registered_ns)
            records = [_record(f"deleted/{device}", {"deleted_ns": deleted_ns})]
            records += [Record(key, None) for key in self._registry.keys_of(now)]
            await self._append(records)
            return deleted_ns

    async def pin(self, holder: Holder, source_id: str) -> str:
        """The sender's own id that this token is bound to: the first one seen, for good.  A new token has none."""
        if holder.source_id is not None:
            return holder.source_id
        if len(source_id) > SOURCE_ID_CHARS_MAX:
            raise Invalid(f"deviceId is over {SOURCE_ID_CHARS_MAX} characters", path="$.deviceId")
        async with self._one_at_a_time:
            pinned = self._registry.source_of(holder.digest)
            if pinned is not None:
                return pinned
            key = f"pin/{holder.digest}/{secrets.token_hex(8)}"
            await self._append([_record(key, {"source_id": source_id})])
            pinned = self._registry.source_of(holder.digest)
            if pinned is None:
                raise LogUnavailable("the pin was not read back", retry_after_s=1.0)
            if pinned != source_id:
                await self._append([Record(key, None)])
            return pinned

    # --- operators

    async def add_operator(self, name: str, role: str) -> str:
        """A new operator's key, the only time that it is seen; raises `Conflict` when the name is taken."""
        check_name(name, "$.name")
        _check_role(role)
        made = credentials.new_credential(credentials.OPERATOR_PREFIX)
        async with self._one_at_a_time:
            await self._registry.sync(self._wait_s)
            if not await self._register_operator(name, role, made.digest):
                raise Conflict(f"there is an operator {name}; remove it first", path="$.name")
        return made.secret

    async def remove_operator(self, name: str) -> None:
        """End an operator's key; raises `NotFound`, and `Conflict` for the last admin."""
        async with self._one_at_a_time:
            await self._registry.sync(self._wait_s)
            everyone = self._registry.operators()
            gone = [o for o in everyone if o.name == name]
            if not gone:
                raise NotFound(f"there is no operator {name[:64]}")
            if not any(o.role == "admin" for o in everyone if o.name != name):
                raise Conflict(f"{name} is the last admin: add another first")
            await self._append([Record(f"operator/{o.digest}", None) for o in gone])

    async def ensure_operator(self, data_dir: Path) -> str | None:
        """At the first start make an admin's key, keep it in `data_dir`/operator.key (0600) and return it, to be
        printed once; None when there are operators already.

        The file comes first: a crash between file and registry leaves a key that the next start registers.
        """
        async with self._one_at_a_time:
            await self._registry.sync(self._wait_s)
            if self._registry.operators():
                return None
            path = data_dir / KEY_FILE
            key, _ = await asyncio.to_thread(_key_in_file, path)
            if await self._register_operator(FIRST_OPERATOR, "admin", credentials.digest(key)):
                return key
            await asyncio.to_thread(path.unlink, missing_ok=True)  # another gateway was first: this key opens nothing
            return None

    async def _register_operator(self, name: str, role: str, digest: str) -> bool:
        if any(o.name == name and o.digest != digest for o in self._registry.operators()):
            return False
        value = {"name": name, "role": role, "created_ns": self._clock.now_ns()}
        await self._append([_record(f"operator/{digest}", value)])
        first = next((o for o in self._registry.operators() if o.name == name), None)
        if first is not None and first.digest == digest:
            return True
        await self._append([Record(f"operator/{digest}", None)])
        return False

    # --- helpers

    def _new_token(self, device: str, enrolment: str) -> tuple[Issued, list[Record]]:
        made = credentials.new_credential()
        value = {"device": device, "enrolment": enrolment, "created_ns": self._clock.now_ns(), "expires_ns": None}
        records = [_record(f"tokens/{device}/{made.digest}", {}), _record(f"token/{made.digest}", value)]
        return Issued(device, made.secret, credentials.public_id(made.digest)), records

    async def _known(self, device: str) -> Device:
        await self._registry.sync(self._wait_s)
        found = self._registry.device(device)
        if found is None:
            raise _unknown(device)
        return found

    async def _append(self, records: Sequence[Record]) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._log.append(DEVICES, records)
        except TimeoutError as e:
            raise LogUnavailable("the log did not take the change in time", retry_after_s=1.0) from e
        await self._registry.sync(self._wait_s)


def operator_key(data_dir: Path) -> str | None:
    """The first operator's key as kept at the first start, for the command line; None when there is no file."""
    with contextlib.suppress(FileNotFoundError):
        return (data_dir / KEY_FILE).read_text().strip() or None
    return None


def _key_in_file(path: Path) -> tuple[str, bool]:
    """The key in the file, which is made (0600, whole or not at all) when absent; whether it was made now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = credentials.new_credential(credentials.OPERATOR_PREFIX).secret
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{KEY_FILE}-")  # mkstemp: O_EXCL, 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(made + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # fails if another was first, and never shows half a file
        except FileExistsError:
            return path.read_text().strip(), False
        return made, True
    finally:
        Path(temporary).unlink()


def _record(key: str, value: Mapping[str, Any]) -> Record:
    return Record(key, orjson.dumps(value))


def _check_platform(platform: str) -> None:
    if platform not in PLATFORMS:
        raise Invalid("platform must be android, ios or empty", path="$.platform")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"role must be one of {', '.join(ROLES)}", path="$.role")


def _taken(device: str) -> Conflict:
    return Conflict(f"there is a device {device}; rotate its token to get a new one", path="$.device")


def _unknown(device: str) -> NotFound:
    return NotFound(f"there is no device {device[:64]}")


__all__ = ["Enrolment", "Issued", "Operator", "operator_key"]
