"""`--https` on the command line: the settings that a local certificate brings, and how a phone comes to trust it."""

from typing import TYPE_CHECKING

from telemetry.errors import Misconfigured
from telemetry.settings import Loaded, Settings

if TYPE_CHECKING:
    from sensorline.local_tls import Files, Machine

EVERYWHERE = "0.0.0.0"  # noqa: S104 - phones are elsewhere, and TLS, login and tokens are what keeps others out
TRUST_PATH = "/trust"


def with_certificate(loaded: Loaded) -> "tuple[Settings, Files]":
    """The same settings with certificate files, and with an address for phones where the settings name none.

    Raises `Misconfigured` when the library is absent or the files cannot be kept.
    """
    try:
        from sensorline import local_tls
    except ModuleNotFoundError as e:
        raise Misconfigured(f"--https needs {e.name!r}: pip install 'sensorline[https]'") from e
    settings = loaded.settings
    here = local_tls.machine()
    try:
        files = local_tls.ensure(settings.data_dir, here)
    except OSError as e:
        raise Misconfigured(f"the local certificate cannot be kept in {settings.data_dir}: {e}") from e
    gateway = settings.gateway
    changed: dict[str, object] = {
        "certfile": str(files.certificate),
        "keyfile": str(files.key),
        "authority_file": str(files.authority),
        "local_https": True,
    }
    if loaded.origin("gateway.host") == "default":
        changed["host"] = EVERYWHERE
    if not gateway.public_url and gateway.port:
        changed["public_url"] = _public_url(str(changed.get("host", gateway.host)), gateway.port, here)
    return settings.model_copy(update={"gateway": gateway.model_copy(update=changed)}), files


def _public_url(host: str, port: int, here: "Machine") -> str:
    """Where others find the station: the machine's address, unless it listens at one only."""
    from sensorline.local_tls import public_url

    if host in (EVERYWHERE, "::"):
        return public_url(here, port)
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def say_how_to_trust(public_url: str, fingerprint: str) -> None:
    """What a person does once with each phone."""
    import sys

    from sensorline import output, qr

    where = f"{public_url}{TRUST_PATH}" if public_url else TRUST_PATH
    output.say(f"A phone must trust this station once. Open {where} on it (it warns: go on) and do what the page says.")
    output.say(f"The authority's SHA-256 fingerprint, to compare on the phone: {fingerprint}")
    if public_url and sys.stdout.isatty():
        output.say(qr.terminal(where, colours=True))
