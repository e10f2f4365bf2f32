"""What a sender is told of a message, over any listener."""

from collections.abc import Mapping
from typing import Any

from telemetry.batch import Receipt
from telemetry.beside import Beside
from telemetry.device_settings import DeviceSettings
from telemetry.outcome import ReceiptStatus
from telemetry.registry import Holder


async def settings_part(device_settings: DeviceSettings, holder: Holder, said: Beside) -> dict[str, Any]:
    """The `settings` of a receipt, where the edge reports others than it should have; else {}.  Raises nothing.

    Asked only once its batch is durable.
    """
    wanted = await device_settings.heard(holder, said.settings)
    return {} if wanted is None else {"settings": wanted}


def stored(receipt: Receipt | None, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The document of a message that is durable in the log; None: a test push, which stores nothing.

    `settings` is what `settings_part` gave.
    """
    if receipt is None:
        return {"status": "ok", "stored": 0}
    return {
        "status": ReceiptStatus.STORED,
        "device": receipt.device,
        "session": receipt.session,
        "seq": receipt.seq,
        "readings": receipt.readings,
        "rejected": receipt.rejected,
        "duplicate": receipt.duplicate,
        **(settings or {}),
    }
