"""Real far ends for alerts: an HTTP receiver, a mail server, each on a free loopback port."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import h11

from consumers.alerting import Alert, Event, Item, Kind, alert
from telemetry.anomaly import Anomaly
from tests.consumers.alert_world import anomaly

HOST = "127.0.0.1"
SECRET = "a-throw-away-secret-of-a-test"


def one(device: str = "d1", *more: Anomaly, kind: Kind = Kind.FIRST) -> Alert:
    """An alert of one anomaly, or more."""
    return alert(kind, device, [Item(a, Event.OPENED, 0, n) for n, a in enumerate((anomaly(0, device=device), *more))])


def secret_file(folder: Path, text: str = SECRET) -> str:
    """A file that holds it."""
    file = folder / "secret"
    file.write_text(f"{text}\n")
    return str(file)


@dataclass
class Got:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with `status` and `headers`; `hang`: with nothing."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    hang: bool = False
    endless: bool = False
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http, head, body = h11.Connection(h11.SERVER), None, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        self.got.append(Got(head.target.decode(), headers, body))
        if self.hang:
            await asyncio.sleep(60)
        answer = h11.Response(status_code=self.status, headers=[*self.headers, ("connection", "close")])
        writer.write(http.send(answer) or b"")
        while self.endless:
            writer.write(http.send(h11.Data(data=b"x" * 65536)) or b"")
            await writer.drain()
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()


@contextlib.asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Started."""
    made = Receiver()
    server = await asyncio.start_server(made.serve, HOST, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@dataclass
class MailServer:
    """Speaks SMTP (RFC 5321) as far as a client needs it; `refuse` is an answer by command."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    starttls: ssl.SSLContext | None = None
    hang: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hang:
            await asyncio.sleep(60)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.write(b"220 here\r\n")
            while await self._command(reader, writer):
                pass
        writer.close()

    async def _command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readuntil(b"\r\n")).decode().strip()
        verb = line.partition(" ")[0].upper()
        answer = self.refuse.get(verb)
        if answer is not None:
            writer.write(f"{answer}\r\n".encode())
        elif verb == "EHLO":
            offered = ["here", *(["STARTTLS"] if self.starttls else []), "AUTH PLAIN"]
            lines = [f"250{'-' if k < len(offered) - 1 else ' '}{text}" for k, text in enumerate(offered)]
            writer.write(("\r\n".join(lines) + "\r\n").encode())
        elif verb == "STARTTLS":
            writer.write(b"220 go ahead\r\n")
            await writer.drain()
            await writer.start_tls(self.starttls)
        elif verb == "AUTH":
            self.logins.append(line)
            writer.write(b"235 fine\r\n")
        elif verb == "RCPT":
            self.recipients.append(line.partition(":")[2].strip("<>"))
            writer.write(b"250 fine\r\n")
        elif verb == "DATA":
            writer.write(b"354 go ahead\r\n")
            raw = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
            self.mails.append(message_from_bytes(raw, policy=policy.default))
            writer.write(b"250 taken\r\n")
        elif verb == "QUIT":
            writer.write(b"221 bye\r\n")
            return False
        else:
            writer.write(b"250 fine\r\n")
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    """Started; `tls`: from the first byte on."""
    made = MailServer()
    server = await asyncio.start_server(made.serve, HOST, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def server_tls(folder: Path) -> ssl.SSLContext:
    """Of the certificates that `make_certificates` left there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context
