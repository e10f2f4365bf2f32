"""PORT alerts: a way to tell people.  A file a channel; its name is its config key.

A channel offers `Config`, a pydantic model, and `open(config) -> Channel`.  Its promises are tests in
`tests/ports/test_alerts.py`, run over every channel.  An adapter's secrets come from files that it reads at each use,
and are in no message of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from consumers.alerting import Alert
from telemetry import adapters
from telemetry.errors import Misconfigured

PORT = "consumers.alerts"
SECRET_BYTES_MAX = 64 * 1024


class Channel(Protocol):
    """One way to tell people."""

    @property
    def target(self) -> str:
        """Whom it tells, for lists and logs; no secret in it."""
        ...

    async def send(self, alert: Alert) -> None:
        """Tell it; returns once the far end has taken it, within the channel's own deadline.

        The same alert sent again carries the same key, by which the far end can know it.  Raises `Retryable`
        (`retry_after_s` where the far end said so) or `Permanent` (this alert never gets through).
        """
        ...


class ChannelConfig(BaseModel):
    """Base of each channel's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def names() -> list[str]:
    """The channels there are."""
    return adapters.names(PORT)


def open_channel(name: str, options: Mapping[str, Any]) -> Channel:
    """The channel of that config key; raises `Misconfigured`."""
    rest = dict(options)
    kind = str(rest.pop("channel", name))
    module = adapters.load(PORT, kind)
    model: type[BaseModel] = module.Config
    try:
        config = model.model_validate(rest, strict=False)
    except ValidationError as e:
        first = e.errors()[0]
        path = ".".join(map(str, ("alerts", "channels", name, *first["loc"])))
        raise Misconfigured(f"setting {path}: {first['msg']}", path=path) from e
    channel: Channel = module.open(config)
    return channel


def secret(file: str, what: str) -> str:
    """What a secret's file holds; raises `Misconfigured`, which never says what that is."""
    try:
        with Path(file).open("rb") as opened:
            return opened.read(SECRET_BYTES_MAX).decode().strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Misconfigured(f"{what}: {type(e).__name__} at {file}") from e
