"""Addresses that set a phone up by its camera: a person opens one, and nothing is typed.

Sensor Logger's is `sensorlogger://config/` + base64(zstd(JSON)), as the app's documentation has it.  OwnTracks' is
`owntracks:///config?inline=` + base64(JSON) (booklet, "Remote configuration").  One of its apps takes only the usual
alphabet with its padding, the other what is safe in a URL: so the text is written such that it needs no padding and
no character in which the alphabets differ.
"""

import base64
import json
from urllib.parse import quote

import zstandard

SENSOR_LOGGER_SCHEME = "sensorlogger://config/"
SENSOR_LOGGER_PATH = "/v1/sensor-logger"
BATCH_PERIOD_MS = 1000
OWNTRACKS_SCHEME = "owntracks:///config?inline="
OWNTRACKS_PATH = "/v1/owntracks"
PHONE_PATH = "/phone"

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


def sensor_logger_address(url: str, token: str) -> str:
    """The address that makes the app push to the station at `url` with this token."""
    config = {
        "http": {
            "enabled": True,
            "url": url.rstrip("/") + SENSOR_LOGGER_PATH,
            "batchPeriod": BATCH_PERIOD_MS,
            "authToken": f"Bearer {token}",
        },
        "sensorState": {name: {"enabled": True, "speed": speed} for name, speed in SENSORS.items()},
    }
    packed = zstandard.ZstdCompressor(level=19).compress(json.dumps(config, separators=(",", ":")).encode())
    return SENSOR_LOGGER_SCHEME + base64.b64encode(packed).decode()


def owntracks_address(url: str, device: str, token: str) -> str:
    """The address that makes OwnTracks send to the station at `url` as this device: the token is its password."""
    config = {
        "_type": "configuration",
        "mode": 3,  # HTTP
        "url": url.rstrip("/") + OWNTRACKS_PATH,
        "auth": True,
        "username": device,
        "password": token,
        "deviceId": device,
        "tid": device[-2:],
        "monitoring": 1,  # significant changes; a person may choose "move" for a track by the second
        "extendedData": True,  # iOS' name for: battery, pressure and network too
        "pubExtendedData": True,  # Android's
        "cmd": False,
        "remoteConfiguration": False,
    }
    text = json.dumps(config, separators=(",", ":"))
    for odd in "~?>":  # of ASCII, only these can become one of the characters in which the alphabets differ
        text = text.replace(odd, f"\\u{ord(odd):04x}")
    text += " " * (-len(text) % 3)
    return OWNTRACKS_SCHEME + base64.b64encode(text.encode()).decode()


def phone_address(url: str, code: str) -> str:
    """The phone page with an enrolment code; what follows `#` is sent to no server and stands in no log."""
    return f"{url.rstrip('/')}{PHONE_PATH}#code={quote(code)}"
