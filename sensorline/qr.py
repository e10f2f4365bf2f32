"""What sets a phone up by its camera: an address of `telemetry.set_up`, drawn as a QR code."""

import io
from typing import TYPE_CHECKING, BinaryIO

from telemetry.set_up import sensor_logger_address as config_url

if TYPE_CHECKING:
    import segno

__all__ = ["config_url", "save_png", "terminal"]

WHITE_ON_BLACK, RESET = "\x1b[97;40m", "\x1b[0m"


def terminal(address: str, *, colours: bool) -> str:
    """The code in half blocks; with `colours` dark on light whatever the terminal's own are."""
    drawn = io.StringIO()
    _code(address).terminal(out=drawn, compact=True, border=2)
    lines = drawn.getvalue().splitlines()
    return "\n".join(f"{WHITE_ON_BLACK}{line}{RESET}" for line in lines) if colours else "\n".join(lines)


def save_png(address: str, file: BinaryIO) -> None:
    """The code as a picture."""
    _code(address).save(file, kind="png", scale=6, border=4)


def _code(address: str) -> "segno.QRCode":
    import segno

    return segno.make(address, error="l", micro=False)
