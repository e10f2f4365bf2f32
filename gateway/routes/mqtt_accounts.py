"""The accounts that an MQTT broker should have: one a token, with what is needed to make it without the token."""

import asyncio
from collections.abc import Iterator

from fastapi import APIRouter

from gateway.answers import Answer
from gateway.openapi import guarded
from gateway.routes.devices import Admin, Parts
from telemetry.credentials import public_id
from telemetry.mqtt_accounts import Account, username
from telemetry.registry import Device, Registry
from telemetry.verifier import Verifier

router = APIRouter(prefix="/v1/mqtt", tags=["operate"])

DEVICES_A_TURN = 100  # read before others get their turn


class VerifierShown(Answer):
    """PBKDF2-HMAC-SHA512 of the token: hash and salt in base64."""

    password: str
    salt: str
    iterations: int


class AccountShown(Answer):
    """A token's account; one that is not `enabled` is revoked or expired."""

    username: str
    device: str
    enabled: bool
    verifier: VerifierShown | None


class AccountsShown(Answer):
    """All of them, by device."""

    accounts: list[AccountShown]


@router.get("/accounts", responses=guarded())
async def list_accounts(services: Parts, who: Admin) -> AccountsShown:
    """What `sensorline mqtt sync` makes the broker equal to."""
    now_ns = services.clock.now_ns()
    shown = []
    for number, device in enumerate(services.registry.devices()):
        shown += [_shown(account) for account in accounts_of(services.registry, device, now_ns)]
        if number % DEVICES_A_TURN == DEVICES_A_TURN - 1:
            await asyncio.sleep(0)
    return AccountsShown(accounts=shown)


def accounts_of(registry: Registry, device: Device, now_ns: int) -> Iterator[Account]:
    """The accounts of a device's tokens, spent ones included."""
    for digest in registry.digests(device):
        token = registry.token_value(digest)
        expires_ns = token["expires_ns"]
        good = not registry.is_revoked(digest) and (expires_ns is None or now_ns < expires_ns)
        kept = token.get("mqtt")
        yield Account(
            username(device.name, public_id(digest)), device.name, good, None if kept is None else Verifier(**kept)
        )


def _shown(account: Account) -> AccountShown:
    verifier = None if account.verifier is None else VerifierShown(**account.verifier._asdict())
    return AccountShown(username=account.username, device=account.device, enabled=account.enabled, verifier=verifier)
