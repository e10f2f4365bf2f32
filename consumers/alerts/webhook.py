"""Channel `webhook`: an alert as JSON, by HTTP POST, signed.

    Idempotency-Key: <key>
    Sensorline-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" with the secret>

The receiver computes the same over the bytes as they came, compares in constant time and refuses an old `t`.  The
secret's file holds a secret a line: two while it is being changed, and then the header has two `v1`.

Only the listed host is reached, at a public address unless its network is listed, over https unless it is this
machine; no redirect is followed and no proxy used.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import math
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
from pydantic import Field, field_validator

from consumers.alerting import Alert
from consumers.alerts import Channel, ChannelConfig, secret
from consumers.alerts._addresses import Address, Network, checked
from consumers.alerts._document import body as body_of
from telemetry.errors import Misconfigured, Permanent, RateLimited, Retryable

SIGNATURE = "Sensorline-Signature"
SECRET_CHARS_MIN = 16
SECRETS_MAX = 3
RETRY_AFTER_S_MAX = 3600.0
PASSING = frozenset({408, 425, 429})  # of 4xx: the same may be taken later


class Undelivered(Retryable):
    """The far end did not take it now."""

    code = "undelivered"


class Refused(Permanent):
    """The far end takes it neither now nor later."""

    code = "refused"


class Config(ChannelConfig):
    """Where to, and what it may reach."""

    url: str
    hosts: tuple[str, ...] = Field(min_length=1, description="the only hosts that are ever reached")
    networks: tuple[str, ...] = Field((), description="networks that may be reached though they are not public")
    secret_file: str = Field(min_length=1, description="the secret of the signature, a line; a second one to change it")
    cafile: str = Field("", description="authority of a host with a certificate of its own")
    wait_s: float = Field(10.0, gt=0, le=60, description="for one delivery, all in all")

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for text in networks:
            ipaddress.ip_network(text)
        return networks


class Webhook:
    """One receiver."""

    def __init__(self, config: Config) -> None:
        """Raises `Misconfigured`."""
        self._config = config
        self._url = _parsed(config)
        self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self._networks: list[Network] = [ipaddress.ip_network(text) for text in config.networks]
        self._tls = _tls(config) if self._url.scheme == "https" else None
        self._secrets()

    @property
    def target(self) -> str:
        """The host: a path may hold a secret."""
        return f"{self._url.scheme}://{self._url.hostname}:{self._port}"

    async def send(self, alert: Alert) -> None:
        """As the port says."""
        body = body_of(alert)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "sensorline",
            "Idempotency-Key": alert.key,
            SIGNATURE: signature(self._secrets(), round(time.time()), body),
        }
        try:
            async with asyncio.timeout(self._config.wait_s):
                address = await checked(str(self._url.hostname), self._port, self._networks)
                await self._post(address, body, headers)
        except TimeoutError as e:
            raise Undelivered(f"{self.target} did not answer within {self._config.wait_s:g} s") from e
        except httpx.HTTPError as e:
            raise Undelivered(f"{self.target}: {type(e).__name__}: {e}") from e

    async def _post(self, address: Address, body: bytes, headers: dict[str, str]) -> None:
        """The answer's body is not read: its status says it all, and it may have no end."""
        host = str(self._url.hostname)
        if self._url.scheme == "http" and not address.is_loopback:
            raise Refused(f"{host} is not this machine: plain HTTP goes nowhere else")
        url = httpx.URL(self._config.url).copy_with(host=str(address))
        headers = headers | {"Host": httpx.URL(self._config.url).netloc.decode("ascii"), "Connection": "close"}
        extensions: dict[str, Any] = {"sni_hostname": host}
        client = httpx.AsyncClient(
            verify=self._tls if self._tls is not None else False,  # False only where there is no TLS
            trust_env=False,
            follow_redirects=False,
            timeout=self._config.wait_s,
        )
        async with client, client.stream("POST", url, content=body, headers=headers, extensions=extensions) as answer:
            _judge(self.target, answer)

    def _secrets(self) -> list[str]:
        """Read anew each time, so that it can be changed; raises `Misconfigured`."""
        lines = secret(self._config.secret_file, "the webhook's secret_file").splitlines()
        found = [line.strip() for line in lines if line.strip()][:SECRETS_MAX]
        if not found or any(len(text) < SECRET_CHARS_MIN for text in found):
            raise Misconfigured(
                f"the webhook's secret_file {self._config.secret_file} must hold a secret of at least "
                f"{SECRET_CHARS_MIN} characters a line"
            )
        return found


def open(config: Config) -> Channel:  # noqa: A001 - the port's word
    """Raises `Misconfigured`."""
    return Webhook(config)


def signature(secrets: list[str], at_s: int, body: bytes) -> str:
    """The header's value."""
    signed = f"{at_s}.".encode() + body
    digests = [hmac.new(text.encode(), signed, hashlib.sha256).hexdigest() for text in secrets]
    return ",".join([f"t={at_s}", *(f"v1={digest}" for digest in digests)])


def _judge(target: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Refused(f"{target} answered {status}: redirects are not followed")
    retry_after_s = _retry_after_s(answer.headers.get("retry-after"))
    if status == 429:
        raise RateLimited(f"{target} answered 429", retry_after_s=retry_after_s)
    if status in PASSING or status >= 500:
        raise Undelivered(f"{target} answered {status}", retry_after_s=retry_after_s)
    raise Refused(f"{target} answered {status}")


def _retry_after_s(text: str | None) -> float | None:
    """Seconds; a date (RFC 9110, 10.2.3) or nonsense counts as not said."""
    try:
        wait_s = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return min(wait_s, RETRY_AFTER_S_MAX) if wait_s > 0 else None


def _parsed(config: Config) -> SplitResult:
    path = "alerts.channels.webhook.url"
    try:
        url = urlsplit(config.url)
        port = url.port
    except ValueError as e:
        raise Misconfigured(f"setting {path}: it is no URL", path=path) from e
    if url.scheme not in {"https", "http"} or not url.hostname or port == 0:
        raise Misconfigured(f"setting {path}: it must be https://, or http:// on this machine", path=path)
    if "@" in url.netloc:
        raise Misconfigured(f"setting {path}: a URL holds no user and no password", path=path)
    if url.hostname not in {host.lower() for host in config.hosts}:
        raise Misconfigured(f"setting {path}: {url.hostname} is not in `hosts`", path=path)
    return url


def _tls(config: Config) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.cafile or None)
    except OSError as e:
        raise Misconfigured(f"the webhook's cafile {config.cafile} cannot be used: {type(e).__name__}") from e
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
