"""Channel `email`: an alert as a plain text mail.

Its Message-ID follows from the alert's key, so that a mail that comes twice can be known.  Every header is made by
`EmailMessage`, which refuses a line break in one.
"""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime
from typing import Annotated, Literal

from pydantic import Field

from consumers.alerting import Alert
from consumers.alerts import Channel, ChannelConfig, secret
from consumers.alerts._document import subject, text
from telemetry.errors import Misconfigured, Permanent, Retryable

SUBJECT_CHARS_MAX = 200
ANSWERS_MAX = 3  # deadlines of one answer that a whole mail may take
PORTS = {"starttls": 587, "tls": 465, "none": 25}

Mailbox = Annotated[str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}$")]


class MailUndelivered(Retryable):
    """The server did not take it now."""

    code = "mail_undelivered"


class MailRefused(Permanent):
    """The server refuses this mail for good."""

    code = "mail_refused"


class Config(ChannelConfig):
    """Through which server, from whom, to whom."""

    host: str
    port: int = Field(0, ge=0, le=65535, description="0 = 587 for starttls, 465 for tls, 25 for none")
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password_file: str = Field("", description="holds the password of that account, in one line")
    cafile: str = Field("", description="authority of a server with a certificate of its own")
    sender: Mailbox
    recipients: tuple[Mailbox, ...] = Field(min_length=1, max_length=50)
    wait_s: float = Field(10.0, gt=0, le=60, description="for each answer of the server")


class Mail:
    """One server and its recipients."""

    def __init__(self, config: Config) -> None:
        """Raises `Misconfigured`."""
        self._config = config
        self._port = config.port or PORTS[config.security]
        if config.username and config.security == "none":
            path = "alerts.channels.email.security"
            raise Misconfigured(f"setting {path}: a password does not travel in the clear", path=path)
        self._password()
        if config.security != "none":
            self._tls()

    @property
    def target(self) -> str:
        """The recipients."""
        return ", ".join(self._config.recipients)

    async def send(self, alert: Alert) -> None:
        """As the port says."""
        message, wait_s = made(self._config, alert), ANSWERS_MAX * self._config.wait_s
        try:
            async with asyncio.timeout(wait_s):  # a server may answer byte by byte
                await asyncio.to_thread(self._send, message)
        except TimeoutError as e:
            raise MailUndelivered(f"{self._config.host} is not done within {wait_s:g} s") from e

    def _send(self, message: EmailMessage) -> None:
        """Blocks; each answer of the server has a deadline."""
        config = self._config
        try:
            refused = self._delivered(message)
        except smtplib.SMTPAuthenticationError as e:  # its text may echo what was sent
            raise MailUndelivered(f"{config.host} refuses the account {config.username} ({e.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as e:
            codes = [code for code, _ in e.recipients.values()]
            raise _error(f"{config.host} refuses every recipient", min(codes)) from e
        except smtplib.SMTPResponseException as e:
            raise _error(f"{config.host} answers {e.smtp_code} {_plain(e.smtp_error)}", e.smtp_code) from e
        except (smtplib.SMTPException, OSError) as e:
            raise MailUndelivered(f"{config.host}:{self._port}: {type(e).__name__}: {e}") from e
        if refused:
            raise MailRefused(f"{config.host} refuses {', '.join(refused)}; the others have it")

    def _delivered(self, message: EmailMessage) -> Mapping[str, tuple[int, bytes]]:
        """Those whom the server refuses while it takes the mail for others."""
        config, server = self._config, self._connected()
        try:
            if config.username:
                server.login(config.username, self._password())
            refused = server.send_message(message, config.sender, config.recipients)
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has the mail: how it says goodbye is its own
                server.quit()
        finally:
            server.close()
        return refused

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        if config.security == "tls":
            return smtplib.SMTP_SSL(config.host, self._port, timeout=config.wait_s, context=self._tls())
        server = smtplib.SMTP(config.host, self._port, timeout=config.wait_s)
        try:
            if config.security == "starttls":
                server.starttls(context=self._tls())
        except BaseException:
            server.close()
            raise
        return server

    def _password(self) -> str:
        """Read anew for each mail; raises `Misconfigured`."""
        return (
            secret(self._config.password_file, "the password_file of alerts by email") if self._config.username else ""
        )

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._config.cafile or None)
        except OSError as e:
            raise Misconfigured(f"the cafile of alerts by email cannot be used: {type(e).__name__}") from e
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def open(config: Config) -> Channel:  # noqa: A001 - the port's word
    """Raises `Misconfigured`."""
    return Mail(config)


def made(config: Config, alert: Alert) -> EmailMessage:
    """The mail."""
    message = EmailMessage()
    message["From"] = Address("Sensorline", addr_spec=config.sender)
    message["To"] = ", ".join(config.recipients)
    message["Subject"] = _one_line(subject(alert))
    message["Date"] = localtime()
    message["Message-ID"] = f"<{alert.key}@{config.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{text(alert)}\n\n{_ids(alert)}".rstrip() + "\n")
    return message


def _ids(alert: Alert) -> str:
    return "\n".join(f"{item.anomaly.id}  {item.anomaly.severity}  {item.anomaly.device}" for item in alert.items)


def _one_line(said: str) -> str:
    return "".join(c if c.isprintable() else " " for c in said)[:SUBJECT_CHARS_MAX]


def _plain(said: bytes | str) -> str:
    told = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    return _one_line(told)


def _error(said: str, code: int) -> Retryable | Permanent:
    return MailRefused(said) if code >= 500 else MailUndelivered(said)
