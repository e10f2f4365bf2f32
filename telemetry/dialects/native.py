"""Our own dialect: the canonical batch.  All or nothing: one wrong value refuses the batch, with its path."""

from telemetry import wire
from telemetry.errors import Forbidden
from telemetry.ports import Parsed, Sender


def parse(body: bytes, sender: Sender, *, readings_max: int) -> Parsed:
    """One batch; raises `Malformed`, `Invalid`, `TooLarge`, and `Forbidden` for another device's id."""
    batch = wire.decode(body, readings_max=readings_max)
    if batch.device != sender.device:
        raise Forbidden(f"this token is {sender.device}'s, the batch says it is {batch.device}'s", path="$.device")
    return Parsed((batch,))
