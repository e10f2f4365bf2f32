"""The Kafka log's settings, and what they are to the client."""

import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from telemetry.errors import Misconfigured
from telemetry.secret_files import secret_of

MIB = 2**20
PROMPT_FETCH_WAIT_S = 0.05
MESSAGE_BYTES_MAX = 9 * MIB  # the record bound, and what the format adds; brokers must allow it (message.max.bytes)


class Config(BaseModel):
    """Where Kafka is, how topics are made, how long to wait, and how to prove who we are.

    `replication` 1 is for trying: production asks for 3, and `min_insync_replicas` 2.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    bootstrap: str = "127.0.0.1:9092"
    client_id: str = "sensorline"
    prefix: str = ""

    partitions: int = Field(default=6, ge=1)
    replication: int = Field(default=1, ge=1)
    min_insync_replicas: int = Field(default=1, ge=1)
    retention_hours: int = Field(default=7 * 24, ge=1)
    archive_retention_hours: int = Field(default=30 * 24, ge=1)  # dead letters, audit

    compression: Literal["zstd", "lz4", "gzip", "none"] = "zstd"
    batch_bytes: int = Field(default=MIB, ge=1)
    linger_s: float = Field(default=0.005, ge=0)
    queue_bytes_max: int = Field(default=64 * MIB, ge=1)
    fetch_bytes: int = Field(default=4 * MIB, ge=1)
    fetch_wait_s: float = Field(default=0.5, gt=0)

    append_timeout_s: float = Field(default=30.0, gt=0)
    request_timeout_s: float = Field(default=15.0, gt=0)
    session_timeout_s: float = Field(default=6.0, gt=0)
    rebalance_timeout_s: float = Field(default=60.0, gt=0)
    poll_interval_s_max: float = Field(default=300.0, gt=0)

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: str | None = None  # holds it, in one line
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> "Config":
        if self.min_insync_replicas > self.replication:
            raise ValueError("min_insync_replicas is more than replication: no append would ever be acknowledged")
        if self.sasl_password is not None and self.sasl_password_file:
            raise ValueError("give sasl_password or sasl_password_file, not both")
        has_password = self.sasl_password is not None or bool(self.sasl_password_file)
        if self.security_protocol.startswith("SASL") and (self.sasl_username is None or not has_password):
            raise ValueError(f"{self.security_protocol} needs sasl_username and sasl_password (or sasl_password_file)")
        if not self.security_protocol.endswith("SSL") and (self.cafile or self.certfile or self.keyfile):
            raise ValueError(f"cafile, certfile and keyfile are of no use with {self.security_protocol}: say SSL")
        if self.keyfile and not self.certfile:
            raise ValueError("keyfile needs certfile")
        return self

    def prompt(self) -> "Config":
        """For a reader that must have a record soon: what one partition brings waits for the others' fetch to end."""
        return self.model_copy(update={"fetch_wait_s": min(self.fetch_wait_s, PROMPT_FETCH_WAIT_S)})

    def topic(self, name: str) -> str:
        """A topic's or a group's name on the broker."""
        return self.prefix + name

    def client(self) -> dict[str, Any]:
        """What every client of the library takes.  Raises `Misconfigured` for a file that cannot be read."""
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap.split(",")],
            "client_id": self.client_id,
            "request_timeout_ms": ms(self.request_timeout_s),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = secret_of(
                self.sasl_password, self.sasl_password_file, "adapters.kafka.sasl_password_file"
            )
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile)
        except OSError as e:  # ssl.SSLError is one
            files = ", ".join(str(Path(f)) for f in (self.cafile, self.certfile, self.keyfile) if f)
            raise Misconfigured(f"the certificates for Kafka cannot be read ({files}): {e}") from e
        return context


def ms(wait_s: float) -> int:
    """Whole milliseconds, at least one."""
    return max(1, round(wait_s * 1000))
