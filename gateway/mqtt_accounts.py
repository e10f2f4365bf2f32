"""The broker is told of a token at the moment it is issued, while its text is known, and when it ends.

Best effort with a deadline: the registry is the truth, and `sensorline mqtt sync` makes the broker equal to it.
"""

import asyncio
import logging
from collections.abc import Sequence

from gateway.mqtt_control import failed, visit
from telemetry import metrics
from telemetry import mqtt_accounts as accounts
from telemetry.errors import SensorlineError
from telemetry.mqtt_accounts import Command
from telemetry.settings import Mqtt

logger = logging.getLogger(__name__)

WAIT_S = 2.0  # an enrolment or a revocation waits no longer for a broker
EXPECTED = ("Role already exists", "Client not found")  # answers that mean that it is so already


class BrokerAccounts:
    """Accounts at a Mosquitto with its dynamic-security plugin (see `telemetry.mqtt_accounts.Accounts`)."""

    def __init__(self, settings: Mqtt) -> None:
        self._settings = settings

    async def issued(self, device: str, token: str, token_id: str) -> None:
        """Make the token's account."""
        commands = [accounts.create_role(device), accounts.create_client(device, token_id, token)]
        await self._tell("issued", device, commands)

    async def ended(self, device: str, token_ids: Sequence[str]) -> None:
        """Remove the tokens' accounts; the plugin disconnects who uses them."""
        commands = [accounts.delete_client(accounts.username(device, token_id)) for token_id in token_ids]
        if commands:
            await self._tell("ended", device, commands)

    async def _tell(self, what: str, device: str, commands: Sequence[Command]) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                async with visit(self._settings, wait_s=WAIT_S) as control:
                    answers = await control.ask(commands)
            wrong = [f for f in failed(commands, answers) if not f.endswith(EXPECTED)]
        except (SensorlineError, TimeoutError) as e:
            wrong = [getattr(e, "message", f"no answer in {WAIT_S:g} s")]
        if wrong:
            metrics.mqtt_accounts_failed.labels(what).inc()
            logger.error(
                "the broker was not told that a token of %s was %s (%s): run `sensorline mqtt sync`",
                device,
                what,
                "; ".join(wrong),
            )
