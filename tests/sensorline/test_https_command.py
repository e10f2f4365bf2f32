"""`sensorline up --https`: a client that trusts the station's authority talks to it, and so does the command line."""

import asyncio
import datetime
import hashlib
import ipaddress
import logging
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from sensorline import https, local_tls
from telemetry import settings
from telemetry.clock import ManualClock
from tests.gateway.gateway_world import eventually
from tests.journey.processes import COMMAND, environment, free_port


def test_it_serves_by_its_own_certificate_and_the_command_line_finds_it(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    data.mkdir(mode=0o755)  # as an administrator makes it, or systemd
    config = tmp_path / "sensorline.toml"
    config.write_text(f'data_dir = "{data}"\n[gateway]\nlocal_https = true\nhost = "127.0.0.1"\nport = {port}\n')
    clean = environment(SENSORLINE_DETECT__ENABLED="false")
    up = subprocess.Popen(
        [COMMAND, "up", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean,
        umask=0,
    )
    try:
        assert up.stdout is not None
        lines = []
        for line in up.stdout:
            lines.append(line)
            if line.startswith("Stop with"):
                break
        text = "".join(lines)
        assert f"Open https://127.0.0.1:{port}/trust on it" in text  # it listens there and nowhere else
        context = ssl.create_default_context(cafile=str(data / "https" / "ca.crt"))
        with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}") as client:
            served = client.get("/ca.crt")
            assert served.text == (data / "https" / "ca.crt").read_text()
            fingerprint = next(line for line in lines if "fingerprint" in line).split()[-1]
            der = ssl.PEM_cert_to_DER_cert(served.text)
            assert hashlib.sha256(der).hexdigest().upper() == fingerprint.replace(":", "")
            assert client.get("/").status_code == 200
        listed = subprocess.run(
            [COMMAND, "device", "list", "--config", str(config)], capture_output=True, text=True, env=clean, check=True
        )
        assert "No devices yet" in listed.stdout
    finally:
        up.terminate()
        up.communicate(timeout=20)
    assert up.returncode == 0
    made = list(data.rglob("*"))
    assert {"ca.key", "operator.key", "admin.password"} < {f.name for f in made}
    assert [f for f in made if stat.S_IMODE(f.stat().st_mode) & 0o077] == [], "hashes and positions: nobody else reads"


@pytest.mark.parametrize(
    ("flags", "host", "url"),
    [
        ({}, "0.0.0.0", "https://192.168.1.7:8080"),
        ({"gateway.host": "::"}, "::", "https://192.168.1.7:8080"),
        ({"gateway.host": "192.168.1.9"}, "192.168.1.9", "https://192.168.1.9:8080"),
        ({"gateway.host": "::1", "gateway.port": 8443}, "::1", "https://[::1]:8443"),
        ({"gateway.public_url": "https://a.example"}, "0.0.0.0", "https://a.example"),
    ],
)
def test_phones_are_told_an_address_at_which_it_listens(
    flags: dict[str, Any], host: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = local_tls.Machine(("station",), (ipaddress.ip_address("192.168.1.7"), ipaddress.ip_address("127.0.0.1")))
    monkeypatch.setattr(local_tls, "machine", lambda: here)
    made, files = https.with_certificate(settings.load(flags={"data_dir": str(tmp_path)} | flags))
    assert (made.gateway.host, made.gateway.public_url) == (host, url)
    told = httpx.URL(url).host
    said = subject_alternatives(files.certificate)
    assert told in {*said.get_values_for_type(x509.DNSName), *map(str, said.get_values_for_type(x509.IPAddress))}


def subject_alternatives(file: Path) -> x509.SubjectAlternativeName:
    served = x509.load_pem_x509_certificates(file.read_bytes())[0]
    return served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_name_that_came_after_the_authority_is_said_to_be_no_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"data_dir": str(tmp_path), "gateway.public_url": "https://a.example"}
    https.with_certificate(settings.load(flags=flags))
    assert not caplog.records
    https.with_certificate(settings.load(flags=flags | {"gateway.public_url": "https://b.example:8443"}))
    assert "may not vouch for b.example:" in caplog.text


async def test_the_certificate_is_renewed_while_the_station_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made, files = https.with_certificate(settings.load(flags={"data_dir": str(tmp_path)}))
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=local_tls.SERVER_DAYS - 1)
    files.certificate.unlink()
    local_tls.ensure(tmp_path, local_tls.machine(), long_ago)
    ensure, fails = local_tls.ensure, [OSError("disk full")]

    def sometimes(*args: Any) -> local_tls.Files:
        if fails:
            raise fails.pop()
        return ensure(*args)

    monkeypatch.setattr(local_tls, "ensure", sometimes)
    clock = ManualClock()
    (renewing,) = https.upkeep(made, clock)
    task = asyncio.create_task(renewing)
    try:
        with caplog.at_level(logging.WARNING):
            await eventually(lambda: "disk full" in caplog.text)
        await clock.advance(https.LOOK_EVERY_S)
        await eventually(lambda: remaining(files.certificate) > datetime.timedelta(days=local_tls.RENEW_DAYS))
        assert not task.done()
    finally:
        task.cancel()
    assert https.upkeep(made.model_copy(update={"gateway": settings.Gateway(certfile="x.crt")}), clock) == []


def remaining(file: Path) -> datetime.timedelta:
    served = x509.load_pem_x509_certificates(file.read_bytes())[0]
    return served.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
