"""The station's own authority: what it vouches for, what it cannot, when things are made anew, and real handshakes."""

import datetime
import ipaddress
import os
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sensorline import local_tls
from sensorline.local_tls import Machine

NOW = datetime.datetime.now(datetime.UTC)
HERE = Machine(("station-1", "station-1.local", "localhost"), (ipaddress.ip_address("127.0.0.1"),))


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
    for name in ("127.0.0.1", "localhost", "station-1", "station-1.local"):
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


@pytest.mark.parametrize("host", ["dev", "app", "xn--p1ai", "cloud"])
def test_a_machine_called_like_a_top_level_domain_gives_no_power_over_it(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = local_tls.ensure(tmp_path, Machine((host, f"{host}.local", "localhost"), HERE.addresses))
    handshake(files, f"{host}.local")
    monkeypatch.setattr(local_tls, "_permitted", lambda here, authority: here)
    forged = local_tls.ensure(tmp_path, Machine((f"bank.{host}",), HERE.addresses))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(forged, f"bank.{host}")


def test_the_authority_signs_servers_and_neither_programs_nor_mail(tmp_path: Path) -> None:
    files = local_tls.ensure(tmp_path, HERE)
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    assert list(authority.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]


def test_the_names_that_the_settings_give_the_machine_are_vouched_for(tmp_path: Path) -> None:
    here = HERE.also(["Station.Example.org.", "192.168.7.7", "203.0.113.9", "0.0.0.0", "::", "", "localhost"])
    assert here.names == (*HERE.names, "station.example.org")
    assert [str(a) for a in here.addresses] == ["127.0.0.1", "192.168.7.7", "203.0.113.9"]
    files = local_tls.ensure(tmp_path, here)
    assert files.vouched == here
    for name in ("station.example.org", "192.168.7.7", "203.0.113.9"):
        handshake(files, name)
    files = local_tls.ensure(tmp_path, here.also(["other.example.org", "198.51.100.4"]))
    assert files.vouched == here, "a later name is beyond the authority, and is told so"


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
    assert handshake_names.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "station-1"


def test_what_was_made_while_the_clock_was_wrong_is_good_once_it_is_right(tmp_path: Path) -> None:
    ahead = local_tls.ensure(tmp_path, HERE, NOW + datetime.timedelta(days=900))
    with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
        handshake(ahead, "localhost")
    now = local_tls.ensure(tmp_path, HERE, NOW)
    assert now.fingerprint == ahead.fingerprint, "phones that trust it go on"
    handshake(now, "localhost")
    behind = local_tls.ensure(tmp_path, HERE, datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
    assert behind.fingerprint == ahead.fingerprint
    handshake(local_tls.ensure(tmp_path, HERE, NOW), "localhost")


def test_a_first_start_long_ago_is_mended(tmp_path: Path) -> None:
    local_tls.ensure(tmp_path, HERE, datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC))
    handshake(local_tls.ensure(tmp_path, HERE, NOW), "localhost")


def test_the_data_folder_and_the_keys_are_closed_to_others_under_any_umask(tmp_path: Path) -> None:
    data = tmp_path / "data"
    before = os.umask(0)
    try:
        local_tls.ensure(data, HERE)
    finally:
        os.umask(before)
    modes = {f: stat.S_IMODE(f.stat().st_mode) for f in (data, data / "https", *(data / "https").iterdir())}
    assert {f.name for f, mode in modes.items() if mode & 0o077} == set()
    for name in ("ca.key", "server.key"):  # as a copy from elsewhere would leave them
        (data / "https" / name).chmod(0o644)
    (data / "https").chmod(0o755)
    local_tls.ensure(data, HERE)
    assert {f: stat.S_IMODE(f.stat().st_mode) for f in modes} == modes


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
