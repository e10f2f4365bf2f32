"""A real Mosquitto with dynamic security, a gateway that may tell it of tokens, and devices that connect with them."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.mqtt_accounts import BrokerAccounts
from gateway.mqtt_control import Control, visit
from gateway.routes.mqtt_accounts import accounts_of
from sensorline.mqtt_sync import Done, Sync
from telemetry import mqtt
from telemetry.enrolment import Issued
from telemetry.mqtt_accounts import Account
from telemetry.mqtt_link import FAILURE, Arrived, Link, Login, LoginRefused, Options, Refused, Room, open_link
from telemetry.settings import Mqtt
from tests.faults.mosquitto import Mosquitto, mosquitto
from tests.gateway.gateway_world import World, gateway

WAIT_S = 10.0


@dataclass
class Client:
    """A connected client, and what came."""

    link: Link
    came: list[Arrived] = field(default_factory=list)

    async def may_publish(self, topic: str) -> bool:
        """What the broker says to a message there."""
        async with asyncio.timeout(WAIT_S):
            return await self.link.publish(topic, b"x") < FAILURE

    async def may_subscribe(self, topics: str) -> bool:
        """What the broker says to a subscription."""
        try:
            await self.link.subscribe([topics])
        except Refused:
            return False
        return True


@dataclass
class BrokerWorld:
    """The broker, the gateway, and whoever manages the accounts."""

    broker: Mosquitto
    gateway: World
    settings: Mqtt
    file: Path

    @property
    def admin_password(self) -> Path:
        """Where the administrator's password is kept."""
        return Path(self.settings.admin_password_file)

    @property
    def pen(self) -> Any:
        """Enrols, rotates, revokes."""
        return self.gateway.services.enrolment

    async def wanted(self) -> Sequence[Account]:
        """What the registry wants, as the gateway's route says it."""
        services = self.gateway.services
        await services.registry.sync(5)
        now_ns = services.clock.now_ns()
        return [a for d in services.registry.devices() for a in accounts_of(services.registry, d, now_ns)]

    def sync(self, **options: Any) -> Sync:
        """A sync that does not wait for other gateways."""
        return Sync(self.settings, self.wanted, **({"settle_s": 0.0} | options))

    async def synced(self, **options: Any) -> Done:
        """One round."""
        return await self.sync(**options).once()

    @contextlib.asynccontextmanager
    async def control(self) -> AsyncIterator[Control]:
        """The administrator."""
        async with visit(self.settings) as control:
            yield control

    async def usernames(self) -> set[str]:
        """The broker's accounts."""
        async with self.control() as control:
            return {client["username"] for client in await control.clients()}


@contextlib.asynccontextmanager
async def world(folder: Path, *, tells: bool = True) -> AsyncIterator[BrokerWorld]:
    """`tells`: the gateway tells the broker of tokens when they are issued."""
    with mosquitto(folder, dynsec=True) as broker:
        password = broker.folder / "admin.password"
        password.write_text(broker.admin_password + "\n")
        settings = Mqtt(url=broker.url, admin_username=broker.admin, admin_password_file=str(password))
        async with gateway(accounts=BrokerAccounts(settings) if tells else None) as made:
            yield BrokerWorld(broker, made, settings, broker.folder / "dynamic-security.json")


@contextlib.asynccontextmanager
async def connected(url: str, username: str, password: str) -> AsyncIterator[Client]:
    """Raises `LoginRefused`."""
    came: list[Arrived] = []
    room = Room({0: 100, 1: 100})
    options = Options(mqtt.parse_url(url), secrets.token_hex(8), Login(username, password), wait_s=WAIT_S)
    link = await open_link(options, came.append, room=room)
    try:
        yield Client(link, came)
    finally:
        await link.close(0.1)


@contextlib.asynccontextmanager
async def device(url: str, issued: Issued) -> AsyncIterator[Client]:
    """A device with its token."""
    async with connected(url, mqtt.username(issued.device, issued.token), issued.token) as client:
        yield client


async def gets_in(url: str, issued: Issued) -> bool:
    """Whether the broker takes this token."""
    try:
        async with device(url, issued):
            return True
    except LoginRefused:
        return False
