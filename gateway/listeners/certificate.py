"""The listener's certificate: read at the start, and again once its files changed: a renewed one needs no restart."""

import logging
import ssl
from pathlib import Path

from telemetry.errors import Misconfigured
from telemetry.settings import Gateway

logger = logging.getLogger(__name__)

# Mozilla's server side TLS, intermediate, version 5.7: what TLS 1.2 may use; TLS 1.3 brings its own.
CIPHERS = ":".join((
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305",
))  # fmt: skip

Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """`context` is what to listen with; `look` is to be called now and then."""

    def __init__(self, certfile: str, keyfile: str) -> None:
        """Raises `Misconfigured` when the files cannot be read."""
        self._files = [certfile, *([keyfile] if keyfile else [])]
        self._served = self._seen = _stamp(self._files)
        try:
            self.context = self._newest = _context(self._files)
        except (OSError, ssl.SSLError) as e:
            raise Misconfigured(f"cannot read gateway.certfile or gateway.keyfile: {e}", path="gateway.certfile") from e
        self.context.sni_callback = self._choose  # called for every handshake, also for those that name no host

    @classmethod
    def of(cls, settings: Gateway) -> "Certificate | None":
        """The one that the settings name; raises `Misconfigured`."""
        if settings.certfile:
            return cls(settings.certfile, settings.keyfile)
        if settings.keyfile:
            raise Misconfigured("gateway.keyfile is set, gateway.certfile is not", path="gateway.certfile")
        return None

    def look(self) -> None:
        """Serve what is in the files from now on, if that has changed since, and is whole: two looks agree."""
        stamp = _stamp(self._files)
        settled, self._seen = stamp == self._seen, stamp
        if stamp is None or stamp == self._served or not settled:
            return
        self._served = stamp
        try:
            self._newest = _context(self._files)
        except (OSError, ssl.SSLError) as e:
            logger.warning("the new certificate in %s cannot be used, the one before goes on: %s", self._files[0], e)
        else:
            logger.info("serving the new certificate in %s", self._files[0])

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Loading into the context in use could leave it with half a pair, or with an old key of another kind."""
        connection.context = self._newest


def _context(files: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(*files)
    return context


def _stamp(files: list[str]) -> Stamp | None:
    """What changes with the files; None while one is not there."""
    try:
        found = [Path(file).stat() for file in files]
    except OSError:
        return None
    return tuple((f.st_ino, f.st_mtime_ns, f.st_size) for f in found)
