"""A webhook is signed, reaches what it may and nothing else, and reads the answer's status right."""

import asyncio
import hashlib
import hmac
import ipaddress
import socket
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from consumers.alerts import Channel, open_channel
from consumers.alerts._addresses import is_allowed
from telemetry.errors import Misconfigured, Permanent, RateLimited, Retryable
from tests.consumers.alert_world import anomaly
from tests.consumers.alerts.receivers import HOST, SECRET, one, receiver, secret_file, server_tls
from tests.faults.mosquitto import make_certificates

LOOPBACK = ["127.0.0.0/8", "::1/128"]


def webhook(folder: Path, url: str, **changed: Any) -> Channel:
    options = {"url": url, "hosts": [HOST, "localhost"], "networks": LOOPBACK, "secret_file": secret_file(folder)}
    return open_channel("webhook", options | {"wait_s": 3.0} | changed)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name is at these addresses; the names that were asked for."""
    asked: list[str] = []

    async def getaddrinfo(_loop: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def test_the_receiver_can_verify_the_signature(tmp_path: Path) -> None:
    async with receiver() as far:
        alert = one("d1", anomaly(1))
        await webhook(tmp_path, f"http://{HOST}:{far.port}/hook?x=1").send(alert)
    (got,) = far.got
    assert got.path == "/hook?x=1"
    assert got.headers["host"] == f"{HOST}:{far.port}"
    parts = dict(part.split("=") for part in got.headers["sensorline-signature"].split(","))
    assert abs(int(parts["t"]) - time.time()) < 10
    expected = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected


async def test_the_document_is_as_described(tmp_path: Path) -> None:
    async with receiver() as far:
        alert = one("d1", anomaly(1))
        await webhook(tmp_path, f"http://{HOST}:{far.port}/").send(alert)
    said = orjson.loads(far.got[0].body)
    assert {"v", "key", "kind", "device", "severity", "text", "anomalies", "more"} == set(said)
    assert (said["v"], said["key"], said["kind"], said["device"]) == (1, alert.key, "first", "d1")
    assert [a["id"] for a in said["anomalies"]] == [anomaly(0).id, anomaly(1).id]
    assert said["anomalies"][0]["event"] == "opened"
    assert "samples" not in said["anomalies"][0]


async def test_two_secrets_while_one_is_changed(tmp_path: Path) -> None:
    async with receiver() as far:
        hook = webhook(tmp_path, f"http://{HOST}:{far.port}/")
        secret_file(tmp_path, f"{SECRET}\nanother-secret-of-a-test")
        await hook.send(one())
    assert far.got[0].headers["sensorline-signature"].count(",v1=") == 2


@pytest.mark.parametrize(
    ("status", "error", "after_s"),
    [
        (200, None, None),
        (204, None, None),
        (301, Permanent, None),
        (307, Permanent, None),
        (400, Permanent, None),
        (410, Permanent, None),
        (408, Retryable, None),
        (429, RateLimited, 7.0),
        (500, Retryable, 7.0),
        (503, Retryable, 7.0),
    ],
)
async def test_what_the_status_means(
    tmp_path: Path, status: int, error: type[Exception] | None, after_s: float | None
) -> None:
    async with receiver() as far, receiver() as other:
        far.status = status
        far.headers = [("location", f"http://{HOST}:{other.port}/"), ("retry-after", "7"), ("content-length", "0")]
        hook = webhook(tmp_path, f"http://{HOST}:{far.port}/")
        if error is None:
            await hook.send(one())
        else:
            with pytest.raises(error) as failed:
                await hook.send(one())
            if after_s is not None:
                assert failed.value.retry_after_s == after_s  # type: ignore[attr-defined]
        assert (len(far.got), other.connections) == (1, 0)


@pytest.mark.parametrize(("said", "after_s"), [("soon", None), ("-3", None), ("nan", None), ("1e9", 3600.0)])
async def test_a_strange_retry_after_is_bounded(tmp_path: Path, said: str, after_s: float | None) -> None:
    async with receiver() as far:
        far.status, far.headers = 503, [("retry-after", said), ("content-length", "0")]
        with pytest.raises(Retryable) as failed:
            await webhook(tmp_path, f"http://{HOST}:{far.port}/").send(one())
        assert failed.value.retry_after_s == after_s


async def test_an_endless_answer_is_not_read(tmp_path: Path) -> None:
    async with receiver() as far:
        far.endless = True
        began_s = time.monotonic()
        await webhook(tmp_path, f"http://{HOST}:{far.port}/").send(one())
        assert time.monotonic() - began_s < 2.0


async def test_a_proxy_of_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as far, receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{HOST}:{proxy.port}")
        await webhook(tmp_path, f"http://{HOST}:{far.port}/").send(one())
        assert (len(far.got), proxy.connections) == (1, 0)


# --- where it may go


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://elsewhere.example/", "not in `hosts`"),
        ("https://127.0.0.1.example/", "not in `hosts`"),
        ("https://me:word@localhost/", "no user"),
        ("https://localhost@elsewhere.example/", "no user"),
        ("ftp://localhost/", "https"),
        ("file:///etc/passwd", "https"),
        ("https://localhost:99999/", "no URL"),
        ("https://", "https"),
    ],
)
def test_what_is_no_address_of_a_listed_host_is_refused_at_the_start(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        webhook(tmp_path, url)


@pytest.mark.parametrize("changed", [{"hosts": []}, {"networks": ["10.0.0.1/8"]}, {"networks": ["here"]}])
def test_settings_that_cannot_hold_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=r"alerts\.channels\.webhook"):
        webhook(tmp_path, "https://localhost/", **changed)


@pytest.mark.parametrize("text", ["", "short"])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    other = tmp_path / "other"
    other.write_text(text)
    with pytest.raises(Misconfigured, match="at least 16"):
        webhook(tmp_path, "https://localhost/", secret_file=str(other))


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:a00:1::", "::7f00:1", "192.0.2.1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_not_reached(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), [])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_public_is(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), [])


def test_what_is_listed_is_and_its_neighbour_is_not() -> None:
    networks = [ipaddress.ip_network("10.1.2.0/24")]
    assert is_allowed(ipaddress.ip_address("10.1.2.3"), networks)
    assert is_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), networks)
    assert not is_allowed(ipaddress.ip_address("10.1.3.3"), networks)


async def test_this_machine_is_not_reached_unless_it_is_listed(tmp_path: Path) -> None:
    async with receiver() as far:
        for host in (HOST, "localhost"):
            with pytest.raises(Permanent, match="public or listed"):
                await webhook(tmp_path, f"http://{host}:{far.port}/", networks=[]).send(one())
        assert far.connections == 0


async def test_a_name_that_leads_inside_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as far:
        hook = webhook(tmp_path, f"https://hooks.example:{far.port}/", hosts=["hooks.example"], networks=[])
        resolve_to(monkeypatch, "127.0.0.1", "169.254.169.254")
        with pytest.raises(Permanent, match="public or listed"):
            await hook.send(one())
        assert far.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as far:
        hook = webhook(tmp_path, f"http://hooks.example:{far.port}/", hosts=["hooks.example"])
        asked = resolve_to(monkeypatch, HOST)
        await hook.send(one())
        assert far.got[0].headers["host"] == f"hooks.example:{far.port}"
        assert asked in (["hooks.example"], ["hooks.example", HOST])


async def test_plain_http_goes_nowhere_but_to_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = webhook(tmp_path, "http://hooks.example/", hosts=["hooks.example"], networks=["10.0.0.0/8"])
    resolve_to(monkeypatch, "10.1.2.3")
    with pytest.raises(Permanent, match="plain HTTP"):
        await hook.send(one())


async def test_over_tls_the_name_is_checked_not_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path)
    ca = str(tmp_path / "ca.crt")
    async with receiver(server_tls(tmp_path)) as far:
        await webhook(tmp_path, f"https://localhost:{far.port}/", cafile=ca).send(one())
        assert len(far.got) == 1
        with pytest.raises(Retryable, match="certificate"):  # of nobody whom this machine trusts
            await webhook(tmp_path, f"https://localhost:{far.port}/").send(one())
        other = webhook(tmp_path, f"https://hooks.example:{far.port}/", hosts=["hooks.example"], cafile=ca)
        resolve_to(monkeypatch, HOST)  # where the certificate would be good for the address
        with pytest.raises(Retryable, match=r"hooks\.example"):
            await other.send(one())
        assert len(far.got) == 1


async def test_a_name_that_nobody_knows_is_tried_again(tmp_path: Path) -> None:
    hook = webhook(tmp_path, "https://nowhere.invalid/", hosts=["nowhere.invalid"])
    with pytest.raises(Retryable, match="resolved"):
        await hook.send(one())
