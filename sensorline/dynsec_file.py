"""The broker's dynamic-security.json: the one way in for accounts whose tokens nobody knows any more.

The broker reads the file at its start only, and writes it anew at every change that it is told of.
"""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from sensorline import private_file
from sensorline.mqtt_diff import good_by_name, is_our_role, is_ours
from telemetry import mqtt_accounts as accounts
from telemetry.errors import Misconfigured
from telemetry.mqtt_accounts import Account

Document = dict[str, Any]


def merged(document: Document, wanted: Iterable[Account]) -> Document:
    """The file with exactly these accounts of ours, and all of the others'; what is right already is left.  Pure.

    An account that the file lacks and that has no verifier stays out: only a new token can mend that.
    """
    made = copy.deepcopy(document)
    good = good_by_name(wanted)
    clients = [c for c in made.get("clients", []) if c["username"] in good or not is_ours(c)]
    have = {client["username"] for client in clients}
    clients += [client(account) for name, account in good.items() if name not in have and account.verifier]
    devices = sorted({account.device for account in good.values()})
    needed = {accounts.role(device) for device in devices}
    roles = [r for r in made.get("roles", []) if r["rolename"] in needed or not is_our_role(r["rolename"])]
    known = {role["rolename"] for role in roles}
    roles += [
        {"rolename": accounts.role(device), "acls": accounts.device_acls(device)}
        for device in devices
        if accounts.role(device) not in known
    ]
    made |= {"clients": clients, "roles": roles, "defaultACLAccess": dict(accounts.DEFAULT_ACCESS)}
    return made


def client(account: Account) -> Document:
    """An account as the file has it."""
    assert account.verifier is not None  # noqa: S101 - see `merged`
    made = {"username": account.username, "textname": accounts.TEXT_NAME, "roles": accounts.roles(account.device)}
    return made | account.verifier._asdict()


def read(file: Path) -> Document:
    """Raises `Misconfigured`."""
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as e:
        raise Misconfigured(f"{file} cannot be read ({e.strerror}): run this where the broker runs, as its user") from e
    except orjson.JSONDecodeError as e:
        raise Misconfigured(f"{file} is no JSON ({e}): is it the broker's plugin_opt_config_file?") from e
    clients = document.get("clients") if isinstance(document, dict) else None
    if not isinstance(clients, list) or not all(isinstance(c, dict) and "username" in c for c in clients):
        raise Misconfigured(f"{file} is no file of the dynamic-security plugin")
    return dict(document)


def write(file: Path, document: Document) -> None:
    """Whole or not at all, mode 0600, for the owner that the file has (the broker's user); raises `Misconfigured`."""
    try:
        with private_file.replacing(file) as made:
            made.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as e:
        raise Misconfigured(f"{file} cannot be written ({e.strerror}): run this as the broker's user or root") from e
