"""`--https`: a certificate authority of this station's own, and a certificate for its machine's names and addresses.

Phones give a page its sensors over HTTPS only, and nobody gives a certificate to an address of a home network.  So the
station makes an authority, once; a person lets the phone trust it.  The authority can vouch for this machine's names
and for private addresses only, and for servers only (X.509 name constraints and extended key usage): were its key
stolen, it could not stand for another's site, nor sign programs or mail.

The clock of a small computer may be wrong until it has heard of the time: what was made in another year is made anew.
"""

import datetime
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sensorline.private_file import replacing

FOLDER = "https"
AUTHORITY_DAYS = 3650
SERVER_DAYS = 397  # browsers take no longer ones of public authorities; Apple takes 825 of one's own
RENEW_DAYS = 30
BACKDATED_H = 1  # a phone's clock may be behind
# An authority is trusted by hand: one that was made while the clock was ahead must hold once it is right.
AUTHORITY_FROM = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOBODYS = frozenset({"localhost", "local", "raspberrypi"})  # single names that are no top-level domain
PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
    "fc00::/7", "fe80::/10", "::1/128",
)  # fmt: skip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Files:
    """Where they are; `fingerprint` is the SHA-256 of the authority's certificate, as phones show it.

    `vouched` is what the server's certificate is good for.
    """

    authority: Path
    certificate: Path
    key: Path
    fingerprint: str
    vouched: "Machine"


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine is called and where it is found; the first address is the one that others use."""

    names: tuple[str, ...]
    addresses: tuple[Address, ...]

    def also(self, hosts: Iterable[str]) -> "Machine":
        """The same with the names and addresses that its settings call it by; what listens everywhere is none."""
        names, addresses = dict.fromkeys(self.names), dict.fromkeys(self.addresses)
        for host in hosts:
            try:
                address = ipaddress.ip_address(host.partition("%")[0])
            except ValueError:
                if host and host.isascii():
                    names.setdefault(host.lower().removesuffix("."))
            else:
                if not address.is_unspecified:
                    addresses.setdefault(address)
        return Machine(tuple(names), tuple(addresses))


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def machine() -> Machine:
    """Looked up without sending anything: a UDP socket that is connected knows the address that it would use."""
    host = socket.gethostname().partition(".")[0].lower()
    names = [*([host, f"{host}.local"] if host and host.isascii() else []), "localhost"]
    found: list[Address] = []
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                found.append(ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]))
        except OSError:  # no network of that kind
            continue
    found += [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    return Machine(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(found)))


def ensure(data_dir: Path, here: Machine, now: datetime.datetime | None = None) -> Files:
    """The files in `data_dir`/https, made or renewed where that is needed; raises `OSError`.

    The authority is made once and stays; the server's certificate is made anew when it ends within a month, begins
    later, or when the machine has a name or an address that it does not have.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder = data_dir / FOLDER
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # `parents` of the folder would be open to everybody
    folder.mkdir(mode=0o700, exist_ok=True)
    _close(folder, 0o700)
    authority_file, certificate_file, key_file = folder / "ca.crt", folder / "server.crt", folder / "server.key"
    authority = _read(authority_file, folder / "ca.key")
    if authority is None or not _lasts(authority.certificate, now):
        authority = _authority(here, now)
        _write(folder / "ca.key", _key_pem(authority.key))
        _write(authority_file, _pem(authority.certificate))
    permitted = _permitted(here, authority.certificate)
    server = _read(certificate_file, key_file)
    if server is None or not _fits(server.certificate, permitted, authority.certificate, now):
        server = _server(permitted, authority, now)
        _write(key_file, _key_pem(server.key))
        _write(certificate_file, _pem(server.certificate) + _pem(authority.certificate))
    digest = authority.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return Files(authority_file, certificate_file, key_file, digest, permitted)


def _authority(here: Machine, now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sensorline"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"Sensorline on {here.names[0]}"[:64]),
    ])  # fmt: skip
    networks = [ipaddress.ip_network(n) for n in PRIVATE]
    own = [ipaddress.ip_network(a) for a in here.addresses if not any(a in n for n in networks)]
    subtrees: list[x509.GeneralName] = [x509.DNSName(n) for n in (*here.names, "local") if _is_nobody_elses(n)]
    subtrees += [x509.IPAddress(n) for n in (*networks, *own)]
    made = (
        _builder(name, name, key, now, AUTHORITY_DAYS, since=AUTHORITY_FROM)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints(subtrees, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(made, key)


def _server(here: Machine, authority: _Pair, now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, here.names[0][:64])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(n) for n in here.names]
    alternatives += [x509.IPAddress(a) for a in here.addresses]
    made = (
        _builder(name, authority.certificate.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(made, key)


def _is_nobody_elses(name: str) -> bool:
    """False for a single word that may be a top-level domain: who vouches for a machine `dev` vouches for all of .dev.

    None has a digit or a hyphen, but for those that begin with xn--.
    """
    looks_like_none = re.search(r"[0-9-]", name) is not None and not name.startswith("xn--")
    return "." in name or name in NOBODYS or looks_like_none


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    days: int,
    *,
    since: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    begins = now - datetime.timedelta(hours=BACKDATED_H)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(begins, since or begins))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _permitted(here: Machine, authority: x509.Certificate) -> Machine:
    """What the authority may vouch for: a machine that was renamed, or has a new public address, has more."""
    subtrees = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    suffixes = [s.value for s in subtrees if isinstance(s, x509.DNSName)]
    networks = [ipaddress.ip_network(s.value) for s in subtrees if isinstance(s, x509.IPAddress)]
    names = tuple(n for n in here.names if any(n == s or n.endswith(f".{s}") for s in suffixes))
    addresses = tuple(a for a in here.addresses if any(a in n for n in networks))
    return Machine(names or ("localhost",), addresses)


def _fits(certificate: x509.Certificate, here: Machine, authority: x509.Certificate, now: datetime.datetime) -> bool:
    said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    has_all = set(here.names) <= set(said.get_values_for_type(x509.DNSName)) and set(here.addresses) <= set(
        said.get_values_for_type(x509.IPAddress)
    )
    return (
        has_all
        and certificate.issuer == authority.subject
        and _is_signed(certificate, authority)
        and certificate.not_valid_before_utc <= now
        and _lasts(certificate, now)
    )


def _is_signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is made anew
        return False
    return True


def _lasts(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    return certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)


def _read(certificate_file: Path, key_file: Path) -> _Pair | None:
    """What is in the files; None when one is not there, or is not what it should be."""
    try:
        _close(key_file, 0o600)
        certificate = x509.load_pem_x509_certificates(certificate_file.read_bytes())[0]
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None  # a crash between the two files
    return _Pair(certificate, key)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _close(path: Path, mode: int) -> None:
    """Take from others what a copy under a lax umask gave them."""
    if path.stat().st_mode & 0o077:
        path.chmod(mode)


def _write(file: Path, content: bytes) -> None:
    with replacing(file) as made:
        made.write(content)


def public_url(here: Machine, port: int) -> str:
    """What phones are told: the address that others of the network use."""
    first: Sequence[Address] = here.addresses
    host = f"[{first[0]}]" if first[0].version == 6 else str(first[0])
    return f"https://{host}:{port}"
