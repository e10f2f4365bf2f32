"""The station's own authority: what it vouches for, what it cannot, when things are made anew, and real handshakes."""

import datetime
import ipaddress
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from sensorline import local_tls
from sensorline.local_tls import Machine

NOW = datetime.datetime.now(datetime.UTC)
HERE = Machine(("station", "station.local", "localhost"), (ipaddress.ip_address("127.0.0.1"),))


def handshake(files: local_tls.Files, name: str) -> None:
    """A client that trusts the authority and expects this name; raises `ssl.SSLError`."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate, files.key)
    client_context = ssl.create_default_context(cafile=str(files.authority))
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)

    def serve() -> None:
        try:
            server_context.wrap_socket(theirs, server_side=True).close()
        except OSError:  # the client's refusal, which is what some tests are about
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client_context.wrap_socket(ours, server_hostname=name).close()
    finally:
        ours.close()
        thread.join(10)


def test_a_client_that_trusts_the_authority_trusts_the_station(tmp_path: Path) -> None:
    files = local_tls.ensure(tmp_path, HERE)
    for name in ("127.0.0.1", "localhost", "station.local"):
        handshake(files, name)
    with pytest.raises(ssl.SSLError):
        handshake(files, "example.org")


def test_the_authority_cannot_stand_for_somebody_elses_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a thief of its key would do it: a certificate for another name, signed by it."""
    local_tls.ensure(tmp_path, HERE)
    monkeypatch.setattr(local_tls, "_permitted", lambda here, authority: here)
    forged = local_tls.ensure(tmp_path, Machine(("bank.example.org",), (ipaddress.ip_address("203.0.113.9"),)))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(forged, "bank.example.org")
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(forged, "203.0.113.9")


def test_nothing_is_made_twice_and_keys_are_the_owners(tmp_path: Path) -> None:
    first = local_tls.ensure(tmp_path, HERE)
    kept = {f.name: f.read_bytes() for f in (tmp_path / "https").iterdir()}
    assert local_tls.ensure(tmp_path, HERE) == first
    assert {f.name: f.read_bytes() for f in (tmp_path / "https").iterdir()} == kept
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / "https" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("here", "days", "is_new"),
    [
        (HERE, 300, False),
        (HERE, 380, True),
        (Machine((*HERE.names, "other.local"), HERE.addresses), 1, True),
        (Machine(HERE.names, (*HERE.addresses, ipaddress.ip_address("192.168.7.7"))), 1, True),
        (Machine((*HERE.names, "renamed"), HERE.addresses), 1, False),  # beyond the authority: left out
    ],
    ids=["early", "ends soon", "new name", "new address", "not permitted"],
)
def test_the_certificate_is_renewed_in_time_and_the_authority_stays(
    tmp_path: Path, here: Machine, days: int, is_new: bool
) -> None:
    first = local_tls.ensure(tmp_path, HERE, NOW)
    before = first.certificate.read_bytes()
    later = local_tls.ensure(tmp_path, here, NOW + datetime.timedelta(days=days))
    assert later.fingerprint == first.fingerprint
    assert (later.certificate.read_bytes() != before) is is_new
    handshake_names = x509.load_pem_x509_certificates(later.certificate.read_bytes())[0]
    assert handshake_names.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "station"


@pytest.mark.parametrize("name", ["server.key", "server.crt"])
def test_half_a_pair_is_made_anew(tmp_path: Path, name: str) -> None:
    """A crash between two files, or a damaged one."""
    files = local_tls.ensure(tmp_path, HERE)
    (tmp_path / "https" / name).write_bytes(b"no pem")
    again = local_tls.ensure(tmp_path, HERE)
    assert again.fingerprint == files.fingerprint
    handshake(again, "localhost")


def test_this_machine_is_found() -> None:
    here = local_tls.machine()
    assert "localhost" in here.names
    assert ipaddress.ip_address("127.0.0.1") in here.addresses
    assert local_tls.public_url(Machine(("x",), (ipaddress.ip_address("fd00::2"),)), 8443) == "https://[fd00::2]:8443"
