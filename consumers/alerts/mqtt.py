"""Channel `mqtt`: an alert as JSON on `sensorline/alerts/<device>` (about several devices: `sensorline/alerts`), QoS 1.

The payload's `key` is also a user property `idempotency-key` (MQTT 5).  A connection an alert: they are rare, and none
is kept that could end unseen.
"""

import asyncio
import secrets
from pathlib import Path

from pydantic import Field

from consumers.alerting import Alert
from consumers.alerts import Channel, ChannelConfig, secret
from consumers.alerts._document import body
from telemetry import mqtt
from telemetry.errors import Misconfigured
from telemetry.mqtt_connection import FAILURE, V5, V311, LinkLost, Login, Options, Room
from telemetry.mqtt_link import open_link

TOPIC = "sensorline/alerts"
CLOSE_WAIT_S = 1.0


class Config(ChannelConfig):
    """Which broker."""

    url: str = Field(description="mqtt://, mqtts://, ws:// or wss:// of the broker")
    username: str = ""
    password_file: str = Field("", description="holds the password of that account, in one line")
    cafile: str = Field("", description="authority of a broker with a certificate of its own")
    version: int = Field(5, description="of the protocol: 5, or 3 where the broker knows no better")
    wait_s: float = Field(10.0, gt=0, le=60, description="for each answer of the broker")


class Broker:
    """One broker."""

    def __init__(self, config: Config) -> None:
        """Raises `Misconfigured`."""
        self._config = config
        self._address = mqtt.parse_url(config.url)
        if config.version not in (3, 5):
            path = "alerts.channels.mqtt.version"
            raise Misconfigured(f"setting {path}: it is 5 or 3", path=path)
        self._login()

    @property
    def target(self) -> str:
        """The broker's address."""
        return f"{self._address} {TOPIC}/#"

    async def send(self, alert: Alert) -> None:
        """As the port says."""
        config = self._config
        options = Options(
            self._address,
            client_id=f"sl-alerts-{secrets.token_hex(6)}",
            login=self._login(),
            cafile=Path(config.cafile) if config.cafile else None,
            version=V5 if config.version == 5 else V311,
            wait_s=config.wait_s,
        )
        topic = f"{TOPIC}/{alert.device}" if alert.device else TOPIC
        link = await open_link(options, lambda _: None, room=Room({}))
        try:
            async with asyncio.timeout(config.wait_s):
                reason = await link.publish(topic, body(alert), said={"idempotency-key": alert.key})
        except TimeoutError as e:
            raise LinkLost(f"{self._address} did not acknowledge within {config.wait_s:g} s") from e
        finally:
            await link.close(CLOSE_WAIT_S)
        if reason >= FAILURE:  # an access rule, a quota: the broker's operator mends it
            raise LinkLost(f"{self._address} does not take {topic} (0x{reason:02x})")

    def _login(self) -> Login | None:
        """The password is read anew for each connection, so that it can be changed."""
        config = self._config
        if not config.username:
            return None
        return Login(config.username, secret(config.password_file, "the password_file of alerts by mqtt"))


def open(config: Config) -> Channel:  # noqa: A001 - the port's word
    """Raises `Misconfigured`."""
    return Broker(config)
