"""Mosquitto's control topic: commands to its dynamic-security plugin, and its answers.

Used by the gateway, which tells the broker of a token while it knows it, and by `sensorline mqtt sync`.  A connection
a visit, with a deadline on each answer.  https://mosquitto.org/documentation/dynamic-security/
Import it only where there is a broker: paho-mqtt is an extra.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from telemetry import mqtt
from telemetry.errors import Misconfigured, Retryable
from telemetry.mqtt_accounts import Command
from telemetry.mqtt_connection import FAILURE, Arrived, LinkLost, Login, Options, Room
from telemetry.mqtt_link import Link, open_link
from telemetry.settings import Mqtt

TOPIC = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{TOPIC}/response"
COMMANDS_MAX = 50  # a message: the broker has one thread, and does all of them before anything else
PAGE = 500  # of what is listed
ANSWERS_MAX = 100  # in hand
WAIT_S = 5.0
CLOSE_WAIT_S = 0.5

Answer = dict[str, Any]


class BrokerUnavailable(Retryable):
    """The broker does not answer, or does not let the administrator in."""

    code = "broker_unavailable"


class Control:
    """A connected administrator; made by `visit`."""

    def __init__(self, link: Link, answers: "asyncio.Queue[bytes]", wait_s: float) -> None:
        self._link = link
        self._answers = answers
        self._wait_s = wait_s

    async def ask(self, commands: Sequence[Command]) -> list[Answer]:
        """The plugin's answers in the commands' order, `error` in those that it refused.

        Raises `BrokerUnavailable`.
        """
        given: list[Answer] = []
        for start in range(0, len(commands), COMMANDS_MAX):
            given += await self._ask_once(commands[start : start + COMMANDS_MAX])
        return given

    async def clients(self) -> list[Answer]:
        """Every account: `username`, `roles`, `groups`, `disabled`."""
        return await self._listed("listClients", "clients")

    async def roles(self) -> list[Answer]:
        """Every role: `rolename`, `acls`."""
        return await self._listed("listRoles", "roles")

    async def default_access(self) -> dict[str, bool]:
        """What is allowed where no role says anything, by kind."""
        (answer,) = await self.ask([{"command": "getDefaultACLAccess"}])
        return {a["acltype"]: bool(a["allow"]) for a in _data(answer)["acls"]}

    async def _listed(self, command: str, what: str) -> list[Answer]:
        found: list[Answer] = []
        while True:
            wanted = {"command": command, "verbose": True, "count": PAGE, "offset": len(found)}
            (answer,) = await self.ask([wanted])
            data = _data(answer)
            page = data[what]
            found += page
            if not page or len(found) >= data["totalCount"]:
                return found

    async def _ask_once(self, commands: Sequence[Command]) -> list[Answer]:
        mark = secrets.token_hex(8)  # another visitor's late answer is not ours
        marked = [command | {"correlationData": f"{mark}-{n}"} for n, command in enumerate(commands)]
        by_mark: dict[str, Answer] = {}
        try:
            async with asyncio.timeout(self._wait_s):
                reason = await self._link.publish(TOPIC, orjson.dumps({"commands": marked}))
                if reason >= FAILURE:
                    raise BrokerUnavailable(f"this account may not use the broker's {TOPIC}")
                while len(by_mark) < len(commands):
                    by_mark |= _of_mark(await self._answers.get(), mark)
        except TimeoutError:
            raise BrokerUnavailable(
                f"the broker's {TOPIC} did not answer in {self._wait_s:g} s: is its dynamic-security plugin loaded?"
            ) from None
        except LinkLost as e:
            raise BrokerUnavailable(e.message) from e
        return [by_mark[command["correlationData"]] for command in marked]


@asynccontextmanager
async def visit(settings: Mqtt, *, wait_s: float = WAIT_S) -> AsyncIterator[Control]:
    """Connected as `admin_username` for as long as the block lasts; raises `BrokerUnavailable` and `Misconfigured`."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()  # bounded by the room
    room = Room({0: ANSWERS_MAX, 1: ANSWERS_MAX})

    def heard(message: Arrived) -> None:
        answers.put_nowait(message.payload)
        room.give(message.qos)

    try:
        link = await open_link(await asyncio.to_thread(_options, settings, wait_s), heard, room=room)
    except LinkLost as e:
        raise BrokerUnavailable(e.message) from e
    try:
        try:
            await link.subscribe([RESPONSES])
        except LinkLost as e:
            raise BrokerUnavailable(e.message) from e
        yield Control(link, answers, wait_s)
    finally:
        await link.close(CLOSE_WAIT_S)


def failed(commands: Sequence[Command], answers: Iterable[Answer]) -> list[str]:
    """`command name: reason` of each that was refused; never a password."""
    told = []
    for command, answer in zip(commands, answers, strict=True):
        if "error" in answer:
            subject = command.get("username") or command.get("rolename") or ""
            told.append(f"{command['command']} {subject}: {answer['error']}")
    return told


def _options(settings: Mqtt, wait_s: float) -> Options:
    if not settings.url or not settings.admin_username:
        raise Misconfigured(
            "set gateway.mqtt.url, gateway.mqtt.admin_username and gateway.mqtt.admin_password_file: "
            "`sensorline mqtt init` makes them",
            path="gateway.mqtt.admin_username",
        )
    file = Path(settings.admin_password_file)
    try:
        login = Login(settings.admin_username, file.read_text().strip())
    except (OSError, UnicodeDecodeError) as e:
        path = "gateway.mqtt.admin_password_file"
        raise Misconfigured(f"setting {path}: {type(e).__name__} at {file}", path=path) from e
    return Options(
        mqtt.parse_url(settings.url),
        client_id=f"sl-admin-{secrets.token_hex(8)}",
        login=login,
        cafile=Path(settings.cafile) if settings.cafile else None,
        wait_s=wait_s,
    )


def _of_mark(text: bytes, mark: str) -> dict[str, Answer]:
    try:
        responses = orjson.loads(text)["responses"]
        return {str(a["correlationData"]): a for a in responses if str(a.get("correlationData", "")).startswith(mark)}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as e:
        raise BrokerUnavailable(f"the broker's {TOPIC} answers in words that are not known here: {e!r}") from e


def _data(answer: Answer) -> dict[str, Any]:
    data = answer.get("data")
    if "error" in answer or not isinstance(data, dict):
        raise BrokerUnavailable(f"the broker refused {answer.get('command')}: {answer.get('error', 'no data')}")
    return data
