"""A device's new token and the records that keep it: its SHA-256, and what a broker needs of it."""

from typing import NamedTuple

from telemetry import credentials
from telemetry.pen import record
from telemetry.ports import Record
from telemetry.verifier import Verifier


class Issued(NamedTuple):
    """A device's new token: the only time that it is seen."""

    device: str
    token: str
    token_id: str


def new_token(device: str, enrolment: str, now_ns: int) -> tuple[Issued, list[Record]]:
    """The token, and its records; it has no end of its own."""
    made = credentials.new_credential()
    value = {
        "device": device,
        "enrolment": enrolment,
        "created_ns": now_ns,
        "expires_ns": None,
        "mqtt": Verifier.of(made.secret)._asdict(),
    }
    records = [record(f"tokens/{device}/{made.digest}", {}), record(f"token/{made.digest}", value)]
    return Issued(device, made.secret, credentials.public_id(made.digest)), records
