"""`sensorline mqtt sync`: the broker's accounts made equal to the registry's, once or for ever.

Whoever is revoked, expired or deleted is put out at once.  An account that only a verifier is left of (the broker was
away when its token was issued, or is a new one) goes into the broker's file, which it reads when it is started again.
"""

import asyncio
import shlex
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.mqtt_control import BrokerUnavailable, Control, failed, visit
from sensorline import answers, dynsec_file, mqtt_diff
from sensorline.api import Api
from sensorline.mqtt_diff import Plan
from telemetry.errors import SensorlineError
from telemetry.mqtt_accounts import Account
from telemetry.settings import Mqtt
from telemetry.verifier import Verifier

SETTLE_S = 1.0  # a gateway that has just issued a token is about to tell the broker itself
RESTART_WAIT_S = 60.0
LOOK_AGAIN_S = 0.2

Wanted = Callable[[], Awaitable[Sequence[Account]]]


class SyncFailed(SensorlineError):
    """The broker refused a change, or did not come back."""

    code = "sync_failed"


@dataclass(frozen=True, slots=True)
class Done:
    """What one round changed; `waiting` accounts are good, and come when the broker is started again."""

    deleted: int = 0
    changed: int = 0
    roles: int = 0
    loaded: int = 0
    waiting: int = 0
    without_verifier: int = 0
    file_written: bool = False
    restarted: bool = False

    @property
    def is_nothing(self) -> bool:
        """True when all was as it should be."""
        return self == Done()

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        return asdict(self)


class Sync:
    """`wanted` asks the gateway; `file` and `restart` may be absent, then accounts wait for whoever has them."""

    def __init__(
        self,
        settings: Mqtt,
        wanted: Wanted,
        *,
        file: Path | None = None,
        restart: str = "",
        settle_s: float = SETTLE_S,
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._file = file
        self._restart = shlex.split(restart)
        self._settle_s = settle_s
        self._loaded_in_vain: frozenset[str] = frozenset()

    async def once(self) -> Done:
        """Make them equal.  Raises `BrokerUnavailable`, `SyncFailed`, `Misconfigured`, and what `wanted` does."""
        async with visit(self._settings) as control:
            plan, wanted = await self._compare(control)
            if plan.missing:
                await asyncio.sleep(self._settle_s)
                plan, wanted = await self._compare(control)
            refused = failed(plan.commands, await control.ask(plan.commands))
            refused = [reason for reason in refused if not reason.endswith("not found")]  # gone meanwhile: so be it
            if refused:
                raise SyncFailed(f"the broker refused {len(refused)} changes; the first: {refused[0]}")
        known = [account for account in plan.missing if account.verifier]
        written = await asyncio.to_thread(self._write, wanted) if self._file else False
        restarted = await self._load(known) if known and self._restart and self._file else False
        return Done(
            deleted=plan.count("deleteClient"),
            changed=plan.count("modifyClient", "enableClient"),
            roles=plan.count("createRole", "modifyRole", "deleteRole", "setDefaultACLAccess"),
            loaded=len(known) if restarted else 0,
            waiting=0 if restarted else len(known),
            without_verifier=len(plan.missing) - len(known),
            file_written=written,
            restarted=restarted,
        )

    async def _compare(self, control: Control) -> tuple[Plan, Sequence[Account]]:
        """The broker first: an account that a gateway makes between the two looks is then not taken for a stray."""
        clients, roles, access = await control.clients(), await control.roles(), await control.default_access()
        wanted = await self._wanted()
        return mqtt_diff.plan(wanted, clients, roles, access), wanted

    def _write(self, wanted: Sequence[Account]) -> bool:
        assert self._file is not None  # noqa: S101 - asked before
        now = dynsec_file.read(self._file)
        then = dynsec_file.merged(now, wanted)
        if now == then:
            return False
        dynsec_file.write(self._file, then)
        return True

    async def _load(self, known: Sequence[Account]) -> bool:
        """Start the broker again, unless that did not help these accounts the last time."""
        names = frozenset(account.username for account in known)
        if names <= self._loaded_in_vain:
            return False
        await asyncio.to_thread(_run, self._restart)
        there = {client["username"] for client in await self._clients_again()}
        self._loaded_in_vain = names - there
        if self._loaded_in_vain:
            raise SyncFailed(
                f"the broker was started again, and still lacks {len(self._loaded_in_vain)} accounts, such as "
                f"{min(self._loaded_in_vain)}: is {self._file} its plugin_opt_config_file?"
            )
        return True

    async def _clients_again(self) -> Sequence[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + RESTART_WAIT_S
        while True:
            try:
                async with visit(self._settings) as control:
                    return await control.clients()
            except BrokerUnavailable:
                if loop.time() > ends_s:
                    raise
                await asyncio.sleep(LOOK_AGAIN_S)


def asking(api: Api) -> Wanted:
    """The accounts that the gateway at `api` wants."""

    async def wanted() -> Sequence[Account]:
        return [_account(a) for a in await asyncio.to_thread(api.mqtt_accounts)]

    return wanted


def _account(answer: answers.Account) -> Account:
    kept = answer.verifier
    verifier = None if kept is None else Verifier(kept.password, kept.salt, kept.iterations)
    return Account(answer.username, answer.device, answer.enabled, verifier)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command
            command, capture_output=True, text=True, timeout=RESTART_WAIT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise SyncFailed(f"{shlex.join(command)}: {e}") from e
    if done.returncode:
        raise SyncFailed(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
