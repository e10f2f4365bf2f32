"""Changes to the `devices` topic: enrol, rotate, revoke, pin, delete; with a code, keys and people beside it.

Each change is appended, and the answer is given after reading it back: of two gateways that race, the first
offset wins and both say so.  Raises `LogUnavailable` when the log does not answer in time.
"""

import secrets
from collections.abc import Sequence

from telemetry import credentials
from telemetry.batch import check_name
from telemetry.clock import Clock
from telemetry.codes import Code, Codes
from telemetry.errors import Conflict, Invalid, LogUnavailable, NotFound
from telemetry.mqtt_accounts import Accounts, NoAccounts
from telemetry.operators import KEY_FILE, operator_key
from telemetry.pen import Pen, gone, record
from telemetry.ports import Log
from telemetry.registry import Device, Holder, Operator, Registry
from telemetry.tokens import Issued, new_token
from telemetry.websessions import WebSessions

PLATFORMS = ("", "android", "ios")
SOURCE_ID_CHARS_MAX = 256


class Enrolment(WebSessions):
    """The one writer of the registry in a process; its changes are made one after another.

    `accounts` (a broker's) are told of tokens after the registry has them.
    """

    def __init__(
        self, log: Log, registry: Registry, clock: Clock, *, wait_s: float = 10.0, accounts: Accounts | None = None
    ) -> None:
        super().__init__(Pen(log, registry, clock, wait_s=wait_s))
        self._clock = clock
        self._codes = Codes(self._pen)
        self._accounts = accounts or NoAccounts()

    async def enrol(self, device: str, *, platform: str = "", standardised: bool = False) -> Issued:
        """A new device and its first token; raises `Conflict` when there is one of that name."""
        check_name(device, "$.device")
        _check_platform(platform)
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            issued = await self._enrol(device, platform, standardised)
        await self._accounts.issued(*issued)
        return issued

    async def offer(self, device: str) -> Code:
        """A code that enrols a device, new or known; raises `RateLimited` when too many wait to be used."""
        check_name(device, "$.device")
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            return await self._codes.make(device)

    async def offered(self, code: str) -> str:
        """The device that this code would enrol; raises `NotFound`."""
        await self._pen.sync()
        return self._codes.device_of(code)

    async def redeem(self, code: str) -> Issued:
        """A token for a code, once: a new device's first, or one more of a known device, whose others live on.

        Raises `NotFound` for a code that is wrong, used or expired.
        """
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            device = await self._codes.claim(code)
            try:
                issued = await self._token_for(device)
            except Conflict:  # another gateway enrolled it meanwhile
                issued = await self._token_for(device)
        await self._accounts.issued(*issued)
        return issued

    async def update(self, device: str, *, platform: str | None = None, standardised: bool | None = None) -> Device:
        """Change how a device measures; raises `NotFound`."""
        _check_platform(platform or "")
        async with self._pen.one_at_a_time:
            now = await self._known(device)
            changed = {
                "enrolment": now.enrolment,
                "platform": now.platform if platform is None else platform,
                "standardised": now.standardised if standardised is None else standardised,
            }
            await self._pen.append([record(f"device/{device}", changed)])
            return self._registry.device(device) or now

    async def rotate(self, device: str, *, overlap_s: float) -> Issued:
        """A new token; the others end after the overlap.  Raises `NotFound`."""
        async with self._pen.one_at_a_time:
            now = await self._known(device)
            ends_ns = self._clock.now_ns() + round(overlap_s * 1e9)
            issued, records = new_token(device, now.enrolment, self._clock.now_ns())
            old = self._registry.digests(now)
            for digest in old:
                token = self._registry.token_value(digest)
                if token["expires_ns"] is None or token["expires_ns"] > ends_ns:
                    records.append(record(f"token/{digest}", token | {"expires_ns": ends_ns}))
            await self._pen.append(records)
        await self._accounts.issued(*issued)
        if overlap_s <= 0:
            await self._accounts.ended(device, _ids(old))
        return issued

    async def revoke(self, device: str, *, token_id: str | None = None) -> int:
        """End one token, or all and the codes for more, at once; returns how many tokens.  Raises `NotFound`."""
        async with self._pen.one_at_a_time:
            now = await self._known(device)
            digests = self._registry.digests(now)
            if token_id is not None:
                digests = [d for d in digests if credentials.public_id(d) == token_id]
                if not digests:
                    raise NotFound(f"{device} has no token {token_id[:64]}", path="$.token_id")
            valid = [d for d in digests if not self._registry.is_revoked(d)]
            at = {"at_ns": self._clock.now_ns()}
            records = [record(f"revoked/{d}", at) for d in valid]
            if token_id is None:
                records += self._codes.removal_for(device)
            if records:
                await self._pen.append(records)
        await self._accounts.ended(device, _ids(digests))
        return len(valid)

    async def delete(self, device: str) -> int:
        """Forget a device and its tokens; returns when (UTC nanoseconds): what was received until then is to be
        unreadable.  Safe to repeat.  Raises `NotFound` when it was never enrolled."""
        async with self._pen.one_at_a_time:
            await self._pen.sync()
            now = self._registry.device(device)
            before_ns = self._registry.deleted_ns(device)
            if now is None:
                if before_ns is None:
                    raise _unknown(device)
                return before_ns
            deleted_ns = max(self._clock.now_ns(), now.registered_ns)
            records = [record(f"deleted/{device}", {"deleted_ns": deleted_ns})]
            records += [*gone(self._registry.keys_of(now)), *self._codes.removal_for(device)]
            digests = self._registry.digests(now)
            await self._pen.append(records)
        await self._accounts.ended(device, _ids(digests))
        return deleted_ns

    async def pin(self, holder: Holder, source_id: str) -> str:
        """The sender's own id that this token is bound to: the first one seen, for good.  A new token has none."""
        if holder.source_id is not None:
            return holder.source_id
        if len(source_id) > SOURCE_ID_CHARS_MAX:
            raise Invalid(f"deviceId is over {SOURCE_ID_CHARS_MAX} characters", path="$.deviceId")
        async with self._pen.one_at_a_time:
            pinned = self._registry.source_of(holder.digest)
            if pinned is not None:
                return pinned
            key = f"pin/{holder.digest}/{secrets.token_hex(8)}"
            await self._pen.append([record(key, {"source_id": source_id})])
            pinned = self._registry.source_of(holder.digest)
            if pinned is None:
                raise LogUnavailable("the pin was not read back", retry_after_s=1.0)
            if pinned != source_id:
                await self._pen.append(gone([key]))
            return pinned

    async def _enrol(self, device: str, platform: str = "", standardised: bool = False) -> Issued:
        if self._registry.device(device) is not None:
            raise _taken(device)
        nonce = secrets.token_hex(8)
        after_ns = self._registry.deleted_ns(device) or 0
        registered_ns = max(self._clock.now_ns(), after_ns + 1)
        claim = {"registered_ns": registered_ns, "platform": platform, "standardised": standardised}
        issued, records = new_token(device, nonce, self._clock.now_ns())
        await self._pen.append([record(f"enrol/{device}/{nonce}", claim), *records])
        winner = self._registry.device(device)
        if winner is None or winner.enrolment != nonce:
            await self._pen.append(gone([f"enrol/{device}/{nonce}", *(r.key for r in records)]))
            raise _taken(device)
        return issued

    async def _token_for(self, device: str) -> Issued:
        known = self._registry.device(device)
        if known is None:
            return await self._enrol(device)
        issued, records = new_token(device, known.enrolment, self._clock.now_ns())
        await self._pen.append(records)
        return issued

    async def _known(self, device: str) -> Device:
        await self._pen.sync()
        found = self._registry.device(device)
        if found is None:
            raise _unknown(device)
        return found


def _check_platform(platform: str) -> None:
    if platform not in PLATFORMS:
        raise Invalid("platform must be android, ios or empty", path="$.platform")


def _ids(digests: Sequence[str]) -> list[str]:
    return [credentials.public_id(digest) for digest in digests]


def _taken(device: str) -> Conflict:
    return Conflict(f"there is a device {device}; rotate its token to get a new one", path="$.device")


def _unknown(device: str) -> NotFound:
    return NotFound(f"there is no device {device[:64]}")


__all__ = ["KEY_FILE", "Enrolment", "Issued", "Operator", "operator_key"]
