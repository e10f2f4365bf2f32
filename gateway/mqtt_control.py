"""Mosquitto's control topic: commands to its dynamic-security plugin, and its answers.

Used by the gateway, which tells the broker of a token while it knows it, and by `sensorline mqtt sync`.  Blocking:
a connection a visit, with a deadline on each answer.  https://mosquitto.org/documentation/dynamic-security/
"""

import queue
import secrets
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from telemetry.errors import Malformed, Misconfigured, Retryable
from telemetry.mqtt_accounts import Command

if TYPE_CHECKING:  # an extra: only who has a broker needs it
    from paho.mqtt.client import Client, MQTTMessage

TOPIC = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{TOPIC}/response"
COMMANDS_MAX = 50  # a message: the broker has one thread, and does all of them before anything else
PAGE = 500  # of what is listed
WAIT_S = 5.0
NO_WAIT_S = 0.05  # how long the network thread is given to say goodbye

Answer = dict[str, Any]


class BrokerUnavailable(Retryable):
    """The broker does not answer, or does not let the administrator in."""

    code = "broker_unavailable"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and who manages its accounts."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    websocket_path: str | None = None


class Control:
    """A connected administrator; made by `visit`."""

    def __init__(self, client: "Client", answers: "queue.Queue[bytes]", wait_s: float) -> None:
        self._client = client
        self._answers = answers
        self._wait_s = wait_s

    def ask(self, commands: Sequence[Command]) -> list[Answer]:
        """The plugin's answers in the commands' order, `error` in those that it refused.

        Raises `BrokerUnavailable`.
        """
        given: list[Answer] = []
        for start in range(0, len(commands), COMMANDS_MAX):
            given += self._ask_once(commands[start : start + COMMANDS_MAX])
        return given

    def clients(self) -> list[Answer]:
        """Every account: `username`, `roles`, `groups`, `disabled`."""
        return self._listed("listClients", "clients")

    def roles(self) -> list[Answer]:
        """Every role: `rolename`, `acls`."""
        return self._listed("listRoles", "roles")

    def default_access(self) -> dict[str, bool]:
        """What is allowed where no role says anything, by kind."""
        (answer,) = self.ask([{"command": "getDefaultACLAccess"}])
        return {a["acltype"]: bool(a["allow"]) for a in _data(answer)["acls"]}

    def _listed(self, command: str, what: str) -> list[Answer]:
        found: list[Answer] = []
        while True:
            wanted = {"command": command, "verbose": True, "count": PAGE, "offset": len(found)}
            (answer,) = self.ask([wanted])
            data = _data(answer)
            page = data[what]
            found += page
            if not page or len(found) >= data["totalCount"]:
                return found

    def _ask_once(self, commands: Sequence[Command]) -> list[Answer]:
        mark = secrets.token_hex(8)  # another visitor's late answer is not ours
        marked = [command | {"correlationData": f"{mark}-{n}"} for n, command in enumerate(commands)]
        self._client.publish(TOPIC, orjson.dumps({"commands": marked}), qos=1)
        by_mark: dict[str, Answer] = {}
        ends_s = time.monotonic() + self._wait_s
        while len(by_mark) < len(commands):
            for answer in self._next(ends_s):
                if str(answer.get("correlationData", "")).startswith(mark):
                    by_mark[answer["correlationData"]] = answer
        return [by_mark[command["correlationData"]] for command in marked]

    def _next(self, ends_s: float) -> list[Answer]:
        try:
            text = self._answers.get(timeout=max(0.0, ends_s - time.monotonic()))
        except queue.Empty:
            raise BrokerUnavailable(
                f"the broker's {TOPIC} did not answer in {self._wait_s:g} s: is its dynamic-security plugin loaded, "
                "and may this account use it?"
            ) from None
        responses: list[Answer] = orjson.loads(text)["responses"]
        return responses


@contextmanager
def visit(broker: Broker, *, wait_s: float = WAIT_S) -> Iterator[Control]:
    """Connected for as long as the block lasts; raises `BrokerUnavailable` and `Misconfigured` (no paho-mqtt)."""
    client, answers, connected = _client(broker, wait_s)
    where = f"{broker.host}:{broker.port}"
    try:
        try:
            client.connect(broker.host, broker.port, keepalive=30)
        except (OSError, ValueError) as e:
            raise BrokerUnavailable(f"no MQTT broker answers at {where}: {e}") from e
        client.loop_start()
        try:
            refused = connected.get(timeout=wait_s)
        except queue.Empty:
            raise BrokerUnavailable(f"the MQTT broker at {where} did not answer in {wait_s:g} s") from None
        if refused:
            raise BrokerUnavailable(f"the MQTT broker at {where} does not let {broker.username} in: {refused}")
        yield Control(client, answers, wait_s)
    finally:
        client.disconnect()
        client.loop_stop()


def failed(commands: Sequence[Command], answers: Sequence[Answer]) -> list[str]:
    """`command name: reason` of each that was refused; never a password."""
    told = []
    for command, answer in zip(commands, answers, strict=True):
        if "error" in answer:
            subject = command.get("username") or command.get("rolename") or ""
            told.append(f"{command['command']} {subject}: {answer['error']}")
    return told


def _client(broker: Broker, wait_s: float) -> "tuple[Client, queue.Queue[bytes], queue.Queue[str]]":
    try:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion
    except ModuleNotFoundError as e:
        raise Misconfigured("the broker's accounts need paho-mqtt: install sensorline[mqtt]") from e

    answers: queue.Queue[bytes] = queue.Queue()
    connected: queue.Queue[str] = queue.Queue()

    def on_connect(client: "Client", userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            connected.put(str(reason))
            client.disconnect()  # else paho tries again and again
        else:
            client.subscribe(RESPONSES, qos=1)

    def on_subscribe(client: "Client", userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        connected.put("it may not subscribe to its answers" if reasons[0].is_failure else "")

    def on_message(client: "Client", userdata: Any, message: "MQTTMessage") -> None:
        answers.put(bytes(message.payload))

    transport: Any = "tcp" if broker.websocket_path is None else "websockets"
    client = paho.Client(CallbackAPIVersion.VERSION2, "", protocol=paho.MQTTv311, transport=transport)
    client.connect_timeout = wait_s
    client.username_pw_set(broker.username, broker.password)
    if broker.websocket_path is not None:
        client.ws_set_options(path=broker.websocket_path)
    if broker.tls is not None:
        client.tls_set_context(broker.tls)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    return client, answers, connected


def _data(answer: Answer) -> dict[str, Any]:
    if "error" in answer:
        raise BrokerUnavailable(f"the broker refused {answer.get('command')}: {answer['error']}")
    data = answer.get("data")
    if not isinstance(data, dict):
        raise Malformed(f"the broker answered {answer.get('command')} without data")
    return data
