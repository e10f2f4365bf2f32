"""What sets the phone app Sensor Logger up by its camera: an address with the app's settings in it, as a QR code.

The address is `sensorlogger://config/` + base64(zstd(JSON)), as the app's documentation has it.
"""

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import zstandard

if TYPE_CHECKING:
    import segno

SCHEME = "sensorlogger://config/"
PUSH_PATH = "/v1/sensor-logger"
BATCH_PERIOD_MS = 1000
WHITE_ON_BLACK, RESET = "\x1b[97;40m", "\x1b[0m"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

# The app's sensor names; speed is the wait between two readings in ms, -1 as they come.
SENSORS: dict[str, int] = {
    "Accelerometer": 10,
    "Gravity": 10,
    "Gyroscope": 10,
    "Magnetometer": 10,
    "Orientation": 10,
    "Barometer": 1000,
    "Location": 1000,
    "Battery": 1000,
}


def config_url(url: str, token: str) -> str:
    """The address that makes the app push to the station at `url` with this token."""
    config = {
        "http": {
            "enabled": True,
            "url": url.rstrip("/") + PUSH_PATH,
            "batchPeriod": BATCH_PERIOD_MS,
            "authToken": f"Bearer {token}",
        },
        "sensorState": {name: {"enabled": True, "speed": speed} for name, speed in SENSORS.items()},
    }
    packed = zstandard.ZstdCompressor(level=19).compress(json.dumps(config, separators=(",", ":")).encode())
    return SCHEME + base64.b64encode(packed).decode()


def terminal(address: str, *, colours: bool) -> str:
    """The code in half blocks; with `colours` dark on light whatever the terminal's own are."""
    drawn = io.StringIO()
    _code(address).terminal(out=drawn, compact=True, border=2)
    lines = drawn.getvalue().splitlines()
    return "\n".join(f"{WHITE_ON_BLACK}{line}{RESET}" for line in lines) if colours else "\n".join(lines)


def save_png(address: str, file: Path) -> None:
    """The code as a picture."""
    _code(address).save(str(file), kind="png", scale=6, border=4)


def is_loopback(url: str) -> bool:
    """True when no phone can reach this address."""
    return (urlsplit(url).hostname or "") in LOOPBACK


def _code(address: str) -> "segno.QRCode":
    import segno

    return segno.make(address, error="l", micro=False)
