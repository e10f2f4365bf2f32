"""What must change at the broker so that it has the registry's accounts.  Pure: answers in, commands out.

Ours are the accounts that are named `<device>.<token-id>` and carry the device's role or our text, and the roles that
are named `device.<device>`.  All others (the administrator's, the gateway's, somebody else's) are left as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telemetry import mqtt_accounts as accounts
from telemetry.batch import is_name
from telemetry.mqtt_accounts import Account, Command

Found = Mapping[str, Any]  # a client or a role as the plugin lists it


@dataclass(frozen=True, slots=True)
class Plan:
    """`commands` in the order in which they are to be given; `missing` can only come from the broker's file."""

    commands: Sequence[Command]
    missing: Sequence[Account]

    def count(self, *names: str) -> int:
        """How many of these commands."""
        return sum(command["command"] in names for command in self.commands)


def plan(
    wanted: Iterable[Account], clients: Iterable[Found], roles: Iterable[Found], access: Mapping[str, bool]
) -> Plan:
    """From what the broker has to what it should have."""
    good = good_by_name(wanted)
    have = {client["username"]: client for client in clients}
    devices = sorted({account.device for account in good.values()})
    commands = [] if access == accounts.DEFAULT_ACCESS else [accounts.deny_by_default()]
    commands += [accounts.delete_client(name) for name in have if name not in good and is_ours(have[name])]
    commands += _roles(devices, {role["rolename"]: role for role in roles})
    for name, account in good.items():
        if name in have:
            commands += _client(have[name], account)
    missing = [account for name, account in good.items() if name not in have]
    return Plan(commands, missing)


def good_by_name(wanted: Iterable[Account]) -> dict[str, Account]:
    """The accounts that are let in."""
    return {account.username: account for account in wanted if account.enabled}


def is_ours(client: Found) -> bool:
    """True when the account was made here."""
    device = accounts.device_of(client["username"])
    if device is None:
        return False
    return client.get("textname") == accounts.TEXT_NAME or accounts.role(device) in _names(client.get("roles", ()))


def is_our_role(name: str) -> bool:
    """True for the roles that are made and removed here."""
    return name.startswith(accounts.ROLE_PREFIX) and is_name(name.removeprefix(accounts.ROLE_PREFIX))


def _roles(devices: Sequence[str], have: Mapping[str, Found]) -> list[Command]:
    needed = {accounts.role(device) for device in devices}
    commands = [accounts.delete_role(name) for name in have if is_our_role(name) and name not in needed]
    for device in devices:
        found = have.get(accounts.role(device))
        if found is None:
            commands.append(accounts.create_role(device))
        elif not accounts.same_acls(found.get("acls", ()), accounts.device_acls(device)):
            commands.append(accounts.modify_role(device))
    return commands


def _client(found: Found, account: Account) -> list[Command]:
    commands = []
    if _names(found.get("roles", ())) != [accounts.role(account.device)] or found.get("groups"):
        commands.append(accounts.modify_client(account.username, account.device))
    if found.get("disabled"):
        commands.append(accounts.enable_client(account.username))
    return commands


def _names(roles: Iterable[Found]) -> list[str]:
    return [role["rolename"] for role in roles]
