"""`--https` on the command line: the settings that a local certificate brings, how a phone comes to trust it, and that
it is renewed while the station runs.
"""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from telemetry.clock import Clock
from telemetry.errors import Misconfigured
from telemetry.settings import Gateway, Loaded, Settings

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from sensorline.local_tls import Files, Machine

EVERYWHERE = "0.0.0.0"  # noqa: S104 - phones are elsewhere, and TLS, login and tokens are what keeps others out
TRUST_PATH = "/trust"
LOOK_EVERY_S = 60.0  # a new address, or a clock that is right at last, should not wait long for its certificate


def with_certificate(loaded: Loaded) -> "tuple[Settings, Files]":
    """The same settings with certificate files, and with an address for phones where the settings name none.

    Raises `Misconfigured` when the library is absent or the files cannot be kept.
    """
    try:
        from sensorline import local_tls
    except ModuleNotFoundError as e:
        raise Misconfigured(f"--https needs {e.name!r}: pip install 'sensorline[https]'") from e
    settings = loaded.settings
    here = _here(settings.gateway)
    try:
        files = local_tls.ensure(settings.data_dir, here)
    except OSError as e:
        raise Misconfigured(f"the local certificate cannot be kept in {settings.data_dir}: {e}") from e
    gateway = settings.gateway
    _warn_of_strangers(gateway, files)
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


def upkeep(settings: Settings, clock: Clock) -> list[Coroutine[Any, Any, None]]:
    """What renews the local certificate, for ever, where it is the one that is served; the listener sees new files."""
    gateway = settings.gateway
    is_ours = gateway.local_https and gateway.authority_file and Path(gateway.certfile).parent == _folder(settings)
    return [_renewing(settings, clock)] if is_ours else []


async def _renewing(settings: Settings, clock: Clock) -> None:
    from sensorline import local_tls

    before = ""
    while True:
        try:
            files = await asyncio.to_thread(local_tls.ensure, settings.data_dir, _here(settings.gateway))
        except OSError as e:
            logger.warning("the local certificate cannot be renewed: %s", e)
        else:
            if before and files.fingerprint != before:
                logger.warning("phones must trust this station anew: the authority is now %s", files.fingerprint)
            before = files.fingerprint
        await clock.sleep(LOOK_EVERY_S)


def _folder(settings: Settings) -> Path:
    from sensorline import local_tls

    return settings.data_dir / local_tls.FOLDER


def _here(gateway: Gateway) -> "Machine":
    """This machine, also by what its settings call it: phones come by that name."""
    from sensorline import local_tls

    return local_tls.machine().also(_called(gateway))


def _called(gateway: Gateway) -> list[str]:
    return [gateway.host, urlsplit(gateway.public_url).hostname or ""]


def _warn_of_strangers(gateway: Gateway, files: "Files") -> None:
    """An authority that was made before the settings had a name does not vouch for it."""
    vouched = files.vouched.also(_called(gateway))
    if vouched != files.vouched:
        strange = {*map(str, vouched.names), *map(str, vouched.addresses)}
        strange -= {*map(str, files.vouched.names), *map(str, files.vouched.addresses)}
        logger.warning(
            "the local authority may not vouch for %s: use an address, or a name under .local; for a full name "
            "remove %s and start again: phones must trust the new one",
            ", ".join(sorted(strange)),
            files.authority.parent,
        )


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
