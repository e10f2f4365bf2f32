"""One account a token at the MQTT broker: its name, what it may do, and the commands that make and end it.  Pure.

The commands are those of Mosquitto's dynamic-security plugin: https://mosquitto.org/documentation/dynamic-security/.
Username `<device>.<token-id>`, password the token: a rotation's two tokens are two accounts, and overlap.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from telemetry.batch import is_name
from telemetry.credentials import ID_CHARS
from telemetry.verifier import Verifier

ROLE_PREFIX = "device."  # roles that begin so are made and removed here; others belong to somebody else
TEXT_NAME = "Sensorline device"
GATEWAY_ROLE = "sensorline.gateway"
TOKEN_ID = re.compile(rf"[0-9a-f]{{{ID_CHARS}}}")

Command = dict[str, Any]
Acl = dict[str, Any]


class Account(NamedTuple):
    """A token as an account; without a verifier (its token is older than they are) a broker cannot be given it anew."""

    username: str
    device: str
    enabled: bool
    verifier: Verifier | None


class Accounts(Protocol):
    """Told of each token when it is issued and when it ends.  Never raises: what fails is mended by `mqtt sync`."""

    async def issued(self, device: str, token: str, token_id: str) -> None:
        """Let it in, at once."""
        ...

    async def ended(self, device: str, token_ids: Sequence[str]) -> None:
        """Put them out, at once."""
        ...


class NoAccounts:
    """No broker to tell."""

    async def issued(self, device: str, token: str, token_id: str) -> None:
        """Nothing to do."""

    async def ended(self, device: str, token_ids: Sequence[str]) -> None:
        """Nothing to do."""


def username(device: str, token_id: str) -> str:
    """The account of a token."""
    return f"{device}.{token_id}"


def device_of(account: str) -> str | None:
    """The device of an account's name (which may have dots of its own: the last one separates); None for others'."""
    device, _, token_id = account.rpartition(".")
    return device if is_name(device) and TOKEN_ID.fullmatch(token_id) else None


def role(device: str) -> str:
    """The role that all tokens of a device have."""
    return ROLE_PREFIX + device


def device_acls(device: str) -> list[Acl]:
    """To publish under its own name and read its own receipts; everything else is denied by default."""
    receipts = f"telemetry/{device}/receipts"
    return [
        _allow("publishClientSend", f"telemetry/{device}/batches"),
        _allow("publishClientSend", f"sensor-logger/{device}"),
        _allow("publishClientReceive", receipts),
        _allow("subscribeLiteral", receipts),
        _allow("unsubscribeLiteral", receipts),
    ]


def gateway_acls() -> list[Acl]:
    """To read what all devices send, and to publish receipts.

    Mosquitto 2.0.11 asks its plugin about a shared subscription with the `$share/<group>/` in front.
    """
    sent = ("telemetry/+/batches", "sensor-logger/+")
    return [
        *(_allow("publishClientReceive", topic) for topic in sent),
        *(_allow("subscribePattern", share + topic) for topic in sent for share in ("", "$share/+/")),
        _allow("unsubscribePattern", "#"),
        _allow("publishClientSend", "telemetry/+/receipts"),
    ]


def admin_acls() -> list[Acl]:
    """To manage accounts, and nothing else."""
    topic = "$CONTROL/dynamic-security/#"
    return [_allow(kind, topic) for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")]


def create_role(device: str) -> Command:
    """Make a device's role."""
    return {"command": "createRole", "rolename": role(device), "acls": device_acls(device)}


def modify_role(device: str) -> Command:
    """Give a device's role its rights again."""
    return create_role(device) | {"command": "modifyRole"}


def create_client(device: str, token_id: str, token: str) -> Command:
    """Make a token's account; only while the token is known."""
    made = {"username": username(device, token_id), "password": token, "textname": TEXT_NAME}
    return {"command": "createClient", **made, "roles": roles(device)}


def modify_client(account: str, device: str) -> Command:
    """Give an account the one role that it should have, and no group's."""
    return {"command": "modifyClient", "username": account, "roles": roles(device), "groups": []}


def enable_client(account: str) -> Command:
    """Let an account in again."""
    return {"command": "enableClient", "username": account}


def delete_client(account: str) -> Command:
    """End an account; whoever is connected with it is put out."""
    return {"command": "deleteClient", "username": account}


def delete_role(name: str) -> Command:
    """Remove a role that nobody has any more."""
    return {"command": "deleteRole", "rolename": name}


def deny_by_default() -> Command:
    """What no role allows is denied."""
    acls = [{"acltype": kind, "allow": False} for kind in DEFAULT_ACCESS]
    return {"command": "setDefaultACLAccess", "acls": acls}


DEFAULT_ACCESS: Mapping[str, bool] = dict.fromkeys(
    ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), False
)


def roles(device: str) -> list[dict[str, str]]:
    """The roles of a device's accounts, as the plugin writes them."""
    return [{"rolename": role(device)}]


def same_acls(one: Iterable[Acl], other: Iterable[Acl]) -> bool:
    """True when both allow the same; the plugin lists them in an order of its own."""
    return _comparable(one) == _comparable(other)


def _comparable(acls: Iterable[Acl]) -> list[tuple[str, str, bool, int]]:
    return sorted((a["acltype"], a["topic"], bool(a["allow"]), int(a.get("priority", 0))) for a in acls)


def _allow(kind: str, topic: str) -> Acl:
    return {"acltype": kind, "topic": topic, "allow": True}
