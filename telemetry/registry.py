"""Who may send, who may ask, and which devices are gone: a reading of the `devices` topic, shared by all processes.

    enrol/<device>/<nonce>     {registered_ns, platform, standardised}   never rewritten: the lowest offset holds
    device/<device>            {enrolment, platform, standardised}       what was changed since
    token/<sha256>             {device, enrolment, created_ns, expires_ns, mqtt: {password, salt, iterations}}
    tokens/<device>/<sha256>   {}                                        to list a device's tokens
    revoked/<sha256>           {at_ns}         apart from the token: a rotation that races cannot undo it
    pin/<sha256>/<nonce>       {source_id}     never rewritten: the lowest offset holds
    code/<sha256>              {device, created_ns, expires_ns}          an enrolment code, until it is used
    redeem/<sha256>/<nonce>    {at_ns}         never rewritten: the lowest offset has used the code
    deleted/<device>           {deleted_ns}
    operator/<sha256>          {name, role, created_ns}                  never rewritten
    person/..., websession/... who may log in, and who has: see `telemetry.registered_people`
    wants/..., reported/...    settings for a device to download: see `telemetry.device_settings`

Claims that two gateways may race for (a device's name, a token's pin, a code) have a key each, so compaction keeps
both and every reader finds the same winner.  Changes are made in `telemetry.enrolment`.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from telemetry import credentials
from telemetry.ports import Entry, Sender
from telemetry.registered import Device, Holder, Operator, Token, View
from telemetry.registered_people import PeopleRegistry

__all__ = ["Device", "Holder", "Operator", "Registry", "Token", "View"]

HOLDERS_MAX = 20_000  # tokens looked up lately, about 1 KiB each


class Registry(PeopleRegistry):
    """Look-ups over the local copy of the topic.  Tokens met lately are answered from a bounded cache."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._holders: OrderedDict[str, Holder] = OrderedDict()
        self._by_device: OrderedDict[str, tuple[Holder, ...]] = OrderedDict()
        self._version = -1

    @property
    def version(self) -> int:
        """Rises with every change."""
        return self._view.version

    def age_s(self) -> float:
        """Seconds since this copy was last known to be current."""
        return self._view.age_s()

    async def sync(self, timeout_s: float) -> None:
        """Read on to what is now the topic's end; raises `LogUnavailable`."""
        await self._view.sync(timeout_s)

    # --- credentials

    def holder(self, token: str, now_ns: int) -> Holder | None:
        """Who sends with this token, or None: unknown, expired, revoked, or its device is gone."""
        if len(token) > credentials.TOKEN_CHARS_MAX:
            return None
        digest = credentials.digest(token)
        self._forget_when_changed()
        held = self._holders.get(digest)
        if held is None:
            held = self._read_holder(digest)
            if held is None:
                return None
            self._holders[digest] = held
            if len(self._holders) > HOLDERS_MAX:
                self._holders.popitem(last=False)
        else:
            self._holders.move_to_end(digest)
        if held.expires_ns is not None and now_ns >= held.expires_ns:
            return None
        return held if credentials.same(held.digest, digest) else None

    def holder_of(self, device: str, now_ns: int) -> Holder | None:
        """For a device that somebody else vouches for (the MQTT broker, by the topic): who sends, or None, when it is
        not enrolled or has no valid token.

        Which of its tokens was used is not known: the newest one that no phone is pinned to stands for all, and
        `also_pinned` has the pins of them all.
        """
        self._forget_when_changed()
        held = self._by_device.get(device)
        if held is None:
            held = self._read_holders(device)
            if not held:
                return None  # not remembered: there is no end of names that are not enrolled
            self._by_device[device] = held
            if len(self._by_device) > HOLDERS_MAX:
                self._by_device.popitem(last=False)
        else:
            self._by_device.move_to_end(device)
        valid = [h for h in held if h.expires_ns is None or now_ns < h.expires_ns]
        if not valid:
            return None
        standing = next((h for h in valid if h.source_id is None), valid[0])
        pinned = frozenset(h.source_id for h in valid if h.source_id is not None)
        return replace(standing, also_pinned=pinned) if pinned else standing

    def operator(self, key: str) -> Operator | None:
        """Whose key this is, or None."""
        if len(key) > credentials.TOKEN_CHARS_MAX:
            return None
        digest = credentials.digest(key)
        entry = self._view.get(f"operator/{digest}")
        found = None if entry is None or entry.value is None else _operator(entry)
        return found if found and credentials.same(found.digest, digest) else None

    def operators(self) -> list[Operator]:
        """Every operator's key, first made first."""
        entries = sorted(self.entries("operator/"), key=lambda e: e.offset)
        return [_operator(e) for e in entries]

    def is_revoked(self, digest: str) -> bool:
        """True when this token was revoked."""
        return self._view.get(f"revoked/{digest}") is not None

    def source_of(self, digest: str) -> str | None:
        """The sender's own device id that is pinned to this token."""
        winner = self.first(f"pin/{digest}/")
        return None if winner is None else str(_value(winner)["source_id"])

    # --- devices

    def device(self, name: str) -> Device | None:
        """The enrolled device of that name."""
        claim = self.first(f"enrol/{name}/")
        return None if claim is None else self._device(name, claim)

    def devices(self) -> list[Device]:
        """Every enrolled device, by name."""
        claims: dict[str, Entry] = {}
        for entry in self.entries("enrol/"):
            name = entry.key.split("/")[1]
            if name not in claims or entry.offset < claims[name].offset:
                claims[name] = entry
        return [self._device(name, claims[name]) for name in sorted(claims)]

    def tokens(self, device: Device) -> list[Token]:
        """The tokens of this enrolment, first made first."""
        found = []
        for digest in self.digests(device):
            token = self.token_value(digest)
            revoked = self._view.get(f"revoked/{digest}")
            revoked_ns = None if revoked is None else int(_value(revoked)["at_ns"])
            found.append(Token(credentials.public_id(digest), token["created_ns"], token["expires_ns"], revoked_ns))
        return sorted(found, key=lambda t: (t.created_ns, t.id))

    def digests(self, device: Device) -> list[str]:
        """The digests of this enrolment's tokens, spent ones included."""
        listed = [e.key.rsplit("/", 1)[1] for e in self.entries(f"tokens/{device.name}/")]
        return [d for d in listed if self.token_value(d).get("enrolment") == device.enrolment]

    def keys_of(self, device: Device) -> list[str]:
        """Every key that a deletion removes; tokens come before what makes them findable."""
        listed = [e.key.rsplit("/", 1)[1] for e in self.entries(f"tokens/{device.name}/")]
        prefixes = [*(f"pin/{d}/" for d in listed), f"wants/{device.name}/"]
        prefixes += [f"tokens/{device.name}/", f"enrol/{device.name}/"]
        scanned = [e.key for prefix in prefixes for e in self.entries(prefix)]
        single = [f"token/{d}" for d in listed] + [f"revoked/{d}" for d in listed]
        single += [f"device/{device.name}", f"reported/{device.name}"]
        return [key for key in single if self._view.get(key) is not None] + scanned

    def token_value(self, digest: str) -> dict[str, Any]:
        """What is kept of a token, {} when there is none."""
        return self.value(f"token/{digest}") or {}

    def value(self, key: str) -> dict[str, Any] | None:
        """What is kept under a key; None when there is nothing."""
        entry = self._view.get(key)
        return None if entry is None else _value(entry)

    def deleted_ns(self, device: str) -> int | None:
        """When this device was last deleted, UTC nanoseconds."""
        entry = self._view.get(f"deleted/{device}")
        return None if entry is None or entry.value is None else int(_value(entry)["deleted_ns"])

    def deleted(self) -> Iterator[str]:
        """The names of all devices that were ever deleted."""
        for entry in self.entries("deleted/"):
            yield entry.key.split("/", 1)[1]

    def is_deleted(self, device: str, received_ns: int) -> bool:
        """True when a batch received then must not be stored or shown: its device was deleted and the batch does
        not belong to a later enrolment of the same name."""
        if self.deleted_ns(device) is None:
            return False
        again = self.device(device)
        return again is None or received_ns < again.registered_ns

    # --- reading records

    def entry(self, key: str) -> Entry | None:
        """The last record of a key, for those who keep more of a device here."""
        return self._view.get(key)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The last records of the keys that begin so, by key."""
        page = self._view.scan(prefix)
        while page:
            yield from page
            page = self._view.scan(prefix, after=page[-1].key)

    def _forget_when_changed(self) -> None:
        if self._version != self._view.version:
            self._version = self._view.version
            self._holders.clear()
            self._by_device.clear()

    def _read_holders(self, device: str) -> tuple[Holder, ...]:
        """The holders of a device's tokens that are not revoked, newest first."""
        enrolled = self.device(device)
        if enrolled is None:
            return ()
        read = [h for digest in self.digests(enrolled) if (h := self._read_holder(digest)) is not None]
        return tuple(sorted(read, key=lambda h: (self.token_value(h.digest)["created_ns"], h.digest), reverse=True))

    def _read_holder(self, digest: str) -> Holder | None:
        token = self.token_value(digest)
        if not token or self.is_revoked(digest):
            return None
        device = self.device(token["device"])
        if device is None or device.enrolment != token["enrolment"]:
            return None
        return Holder(
            device=device.name,
            digest=digest,
            enrolment=device.enrolment,
            registered_ns=device.registered_ns,
            expires_ns=token["expires_ns"],
            source_id=self.source_of(digest),
            sender=Sender(device.name, device.platform, device.standardised),
        )

    def _device(self, name: str, claim: Entry) -> Device:
        first = _value(claim)
        enrolment = claim.key.rsplit("/", 1)[1]
        changed = self._view.get(f"device/{name}")
        now = _value(changed) if changed is not None else {}
        if now.get("enrolment") != enrolment:
            now = first
        return Device(name, enrolment, first["registered_ns"], now["platform"], now["standardised"])

    def first(self, prefix: str) -> Entry | None:
        """The claim that holds among those whose key begins so: the lowest offset."""
        return min(self.entries(prefix), key=lambda e: e.offset, default=None)


def _value(entry: Entry) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(entry.value) if entry.value else {}
    return value


def _operator(entry: Entry) -> Operator:
    value = _value(entry)
    return Operator(value["name"], value["role"], value["created_ns"], entry.key.removeprefix("operator/"))
