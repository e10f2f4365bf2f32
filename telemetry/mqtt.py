"""The words of MQTT that both ends speak: addresses, topics, how a payload is packed, and the receipt.  Pure.

    telemetry/<device>/batches     edge -> gateway   canonical bytes, plain or one zstd or gzip frame
    telemetry/<device>/receipts    gateway -> edge   JSON, below
    sensor-logger/<device>         phone -> gateway  Sensor Logger's own messages

    {"v":1,"status":"stored","http":200,"payload":"<digest>","device","session","seq","readings","rejected","duplicate"}
    {"v":1,"status":"rejected","http":422,"payload":"<digest>","code","detail","path"}
    {"v":1,"status":"retry","http":503,"payload":"<digest>","code","detail","retry_after_s"}

`payload` is the digest of the payload as it was published, so that the sender finds which of its messages is meant
without the gateway having understood it; `http` is the status that HTTP would have answered.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import orjson

from telemetry import credentials
from telemetry.batch import is_name
from telemetry.errors import Misconfigured, SensorlineError
from telemetry.loopback import is_loopback
from telemetry.outcome import ReceiptStatus

VERSION = 1
PAYLOAD_BYTES_MAX = 256 * 1024
DIGEST_CHARS = 32
RETRY_AFTER_S = 1.0
DETAIL_CHARS_MAX = 500
WEBSOCKET_PATH = "/mqtt"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1


# --- addresses


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker listens; `path` is for WebSockets."""

    host: str
    port: int
    is_tls: bool = False
    is_websocket: bool = False
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """True when nothing leaves this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        scheme = ("wss" if self.is_tls else "ws") if self.is_websocket else ("mqtts" if self.is_tls else "mqtt")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path}"


_SCHEMES = {  # scheme -> (TLS, WebSocket, port)
    "mqtt": (False, False, 1883),
    "mqtts": (True, False, 8883),
    "ws": (False, True, 80),
    "wss": (True, True, 443),
}


def parse_url(url: str) -> Address:
    """The address in mqtt://, mqtts://, ws:// or wss://; raises `Misconfigured`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise Misconfigured(f"{url!r} is no URL: {e}") from e
    if "@" in parts.netloc:
        raise Misconfigured("a broker's URL holds no user and no password: they have settings of their own")
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0:
        raise Misconfigured(f"{url!r} is no URL of a broker: mqtt://, mqtts://, ws:// or wss:// and a host")
    is_tls, is_websocket, usual = _SCHEMES[parts.scheme]
    if not is_websocket and parts.path not in ("", "/"):
        raise Misconfigured(f"{url!r} has a path, which only ws:// and wss:// know")
    path = ((parts.path or WEBSOCKET_PATH) + (f"?{parts.query}" if parts.query else "")) if is_websocket else ""
    return Address(parts.hostname, port or usual, is_tls, is_websocket, path)


def username(device: str, token: str) -> str:
    """The broker's account of one token of a device; its password is the token."""
    return f"{device}.{credentials.public_id(credentials.digest(token))}"


# --- topics


class Kind(StrEnum):
    """What a topic carries to the gateway."""

    BATCHES = "batches"
    SENSOR_LOGGER = "sensor-logger"


FILTERS = ("telemetry/+/batches", "sensor-logger/+")


def shared(group: str) -> list[str]:
    """The filters of a gateway: each message goes to one member of the group (MQTT 5, 4.8.2)."""
    return [f"$share/{group}/{topics}" for topics in FILTERS]


def batches_topic(device: str) -> str:
    """Where an edge publishes."""
    return f"telemetry/{device}/batches"


def receipts_topic(device: str) -> str:
    """Where it is answered."""
    return f"telemetry/{device}/receipts"


def sensor_logger_topic(device: str) -> str:
    """Where a phone publishes."""
    return f"sensor-logger/{device}"


def parse_topic(topic: str) -> tuple[Kind, str] | None:
    """What it carries and whose it is; None for any other topic, and for what is no name of a device."""
    match topic.split("/"):
        case ["telemetry", device, "batches"] if is_name(device):
            return Kind.BATCHES, device
        case ["sensor-logger", device] if is_name(device):
            return Kind.SENSOR_LOGGER, device
    return None


# --- payloads


def digest(payload: bytes) -> str:
    """What a receipt calls a payload: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(payload).hexdigest()[:DIGEST_CHARS]


def encoding_of(payload: bytes) -> str:
    """The encoding by its first bytes: MQTT 3.1.1 has no header to say it in, and no JSON text begins so."""
    if payload.startswith(ZSTD_MAGIC):
        return "zstd"
    return "gzip" if payload.startswith(GZIP_MAGIC) else "identity"


# --- receipts


@dataclass(frozen=True, slots=True)
class Said:
    """A receipt as it was read; `body` is the whole document."""

    payload: str
    http: int
    code: str
    detail: str
    retry_after_s: float | None
    body: bytes


def stored(payload: str, document: Mapping[str, Any]) -> bytes:
    """The receipt of what is durable in the log; `document` is what HTTP answers."""
    return orjson.dumps({"v": VERSION, "http": 200, "payload": payload, **document})


def refused(payload: str, error: SensorlineError) -> bytes:
    """The receipt of what was not taken."""
    status = ReceiptStatus.RETRY if error.retryable else ReceiptStatus.REJECTED
    document = _refusal(payload, status, error.status, error.code, error.message)
    if error.path is not None:
        document["path"] = _text(error.path)
    if error.retryable:
        document["retry_after_s"] = error.retry_after_s or RETRY_AFTER_S
    return orjson.dumps(document)


def failed(payload: str) -> bytes:
    """The receipt where the gateway has a fault: its log has the details, the sender may try again."""
    detail = "a fault of this server; its log has the details"
    document = _refusal(payload, ReceiptStatus.RETRY, 500, "internal", detail)
    return orjson.dumps(document | {"retry_after_s": RETRY_AFTER_S})


def read_receipt(body: bytes) -> Said | None:
    """None for what is no receipt of ours: then it is as if nobody had answered."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or document.get("v") != VERSION:
        return None
    payload, http = document.get("payload"), document.get("http")
    if not isinstance(payload, str) or type(http) is not int or not 100 <= http <= 599:
        return None
    code, detail = document.get("code", ""), document.get("detail", "")
    return Said(payload, http, str(code), str(detail)[:DETAIL_CHARS_MAX], _wait_s(document.get("retry_after_s")), body)


def _refusal(payload: str, status: ReceiptStatus, http: int, code: str, detail: str) -> dict[str, Any]:
    text = _text(detail)
    return {"v": VERSION, "status": status, "http": http, "payload": payload, "code": code, "detail": text}


def _text(text: str) -> str:
    """Lone surrogates of a sender's text are no JSON."""
    return text[:DETAIL_CHARS_MAX].encode("utf-8", "replace").decode()


def _wait_s(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return max(0.0, float(value))
