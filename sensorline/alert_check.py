"""Sends a test alert through channels, all at once, and says how each fared."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from consumers.alerting import Alert, Kind, alert
from consumers.alerts import open_channel
from telemetry.errors import SensorlineError


async def check(channels: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By channel: "" where it was delivered, else why not."""
    told = alert(Kind.TEST, "", (), salt=secrets.token_hex(8))
    errors = await asyncio.gather(*(_sent(name, options, told) for name, options in channels.items()))
    return dict(zip(channels, errors, strict=True))


async def _sent(name: str, options: Mapping[str, Any], told: Alert) -> str:
    try:
        await open_channel(name, options).send(told)
    except SensorlineError as e:
        return " ".join(e.message.split())
    return ""
