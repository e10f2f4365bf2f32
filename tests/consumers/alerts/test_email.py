"""A mail says what was found, in headers that nobody can add to, over TLS where that is set."""

from pathlib import Path
from typing import Any

import pytest

from consumers.alerting import Event, Item, Kind, alert
from consumers.alerts import Channel, open_channel
from consumers.alerts.email import Config, made
from telemetry.errors import Misconfigured, Permanent, Retryable
from tests.consumers.alert_world import anomaly
from tests.consumers.alerts.receivers import HOST, SECRET, MailServer, mail_server, one, secret_file, server_tls
from tests.faults.mosquitto import make_certificates

BASE: dict[str, Any] = {"host": HOST, "security": "none", "sender": "sensorline@example.org", "wait_s": 2.0}
BASE["recipients"] = ["a@example.org", "b@example.org"]


def mail(server: MailServer, **changed: Any) -> Channel:
    return open_channel("email", BASE | {"port": server.port} | changed)


async def test_a_mail_says_it() -> None:
    async with mail_server() as far:
        sent = one("d1", anomaly(1))
        await mail(far).send(sent)
    (got,) = far.mails
    assert far.recipients == ["a@example.org", "b@example.org"]
    assert got["subject"] == "[critical] d1: fall 0 (and 1 more)"
    assert got["from"] == "Sensorline <sensorline@example.org>"
    assert got["message-id"] == f"<{sent.key}@example.org>"
    assert got.get_content_type() == "text/plain"
    assert "- fall 1" in got.get_content() and anomaly(1).id in got.get_content()


def test_no_header_can_be_added() -> None:
    words = "fall\r\nBcc: everybody@example.org\n\nbody\u2028x\x00"
    told = alert(Kind.FIRST, "d1", [Item(anomaly(0, words=words), Event.OPENED, 0, 0)])
    raw = made(Config(**BASE), told).as_bytes()
    head = raw.partition(b"\n\n")[0]
    assert b"\nBcc" not in head and b"\x00" not in head
    assert head.count(b"\nSubject:") == 1


@pytest.mark.parametrize(
    "changed",
    [{"sender": "a@b\r\nBcc: c@d"}, {"recipients": ["a@b>, <c@d"]}, {"recipients": []}, {"username": "me"}],
)
def test_settings_that_are_no_addresses_or_unsafe_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        open_channel("email", BASE | changed)


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("MAIL", "450 later", Retryable),
        ("MAIL", "550 never", Permanent),
        ("RCPT", "451 later", Retryable),
        ("RCPT", "550 unknown", Permanent),
        ("DATA", "554 spam", Permanent),
        ("DATA", "452 full", Retryable),
        ("QUIT", "500 what", None),
    ],
)
async def test_what_an_answer_means(command: str, answer: str, error: type[Exception] | None) -> None:
    async with mail_server() as far:
        far.refuse[command] = answer
        if error is None:
            await mail(far).send(one())
            assert len(far.mails) == 1
        else:
            with pytest.raises(error):
                await mail(far).send(one())
            assert far.mails == []


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_over_tls_with_an_account(tmp_path: Path, security: str) -> None:
    make_certificates(tmp_path)
    context = server_tls(tmp_path)
    account = {"username": "me", "password_file": secret_file(tmp_path), "security": security}
    async with mail_server(context if security == "tls" else None) as far:
        far.starttls = context if security == "starttls" else None
        await mail(far, cafile=str(tmp_path / "ca.crt"), **account).send(one())
        assert (len(far.mails), len(far.logins)) == (1, 1)
        with pytest.raises(Retryable, match="certificate"):
            await mail(far, **account).send(one())
        assert len(far.logins) == 1


async def test_without_starttls_at_the_server_nothing_is_said_in_the_clear(tmp_path: Path) -> None:
    async with mail_server() as far:
        with pytest.raises(Retryable):
            await mail(far, security="starttls", username="me", password_file=secret_file(tmp_path)).send(one())
        assert (far.logins, far.mails) == ([], [])


async def test_a_refused_account_is_said_without_its_password(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    async with mail_server(server_tls(tmp_path)) as far:
        far.refuse["AUTH"] = f"535 not with {SECRET}"
        account = {"username": "me", "password_file": secret_file(tmp_path), "security": "tls"}
        with pytest.raises(Retryable) as failed:
            await mail(far, cafile=str(tmp_path / "ca.crt"), **account).send(one())
        assert SECRET not in failed.value.message and "535" in failed.value.message
