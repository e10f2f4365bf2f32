"""A first Mosquitto for Sensorline: its configuration, its accounts' file, and two random passwords; no default one."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import orjson

from telemetry import credentials
from telemetry import mqtt_accounts as accounts
from telemetry.errors import Misconfigured
from telemetry.loopback import is_loopback
from telemetry.verifier import Verifier

PLUGIN = "mosquitto_dynamic_security.so"
PLUGIN_FOLDERS = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/opt/homebrew/lib"))
PASSWORD_PREFIX = "slm_"  # noqa: S105 - what every one begins with
GATEWAY, ADMIN = "sensorline-gateway", "sensorline-admin"
ADMIN_ROLE = "sensorline.admin"

CONFIGURATION = """\
# Mosquitto for Sensorline.  Start it:  mosquitto -c {folder}/mosquitto.conf
# Nobody gets in without an account; accounts and rights are in dynamic-security.json, which the broker itself writes:
# its user must own this folder (mode 0700).  `sensorline mqtt sync` keeps the devices' accounts.
per_listener_settings false
allow_anonymous false
plugin {plugin}
plugin_opt_config_file {folder}/dynamic-security.json

# A gateway acknowledges with a receipt once the log has a batch; until then the edge keeps it.  So the broker need keep
# nothing over a restart.
persistence false
set_tcp_nodelay true
message_size_limit 1048576
max_queued_bytes 67108864

listener {port} {host}

# TLS, before devices of other machines connect: their tokens travel in the CONNECT packet.
# listener 8883
# certfile {folder}/server.crt
# keyfile {folder}/server.key
# tls_version tlsv1.2
"""


@dataclass(frozen=True, slots=True)
class Made:
    """The files, and what the gateway's settings must say."""

    folder: Path
    url: str
    is_loopback: bool

    @property
    def configuration(self) -> Path:
        """For `mosquitto -c`."""
        return self.folder / "mosquitto.conf"

    @property
    def accounts(self) -> Path:
        """For `mqtt sync --file`."""
        return self.folder / "dynamic-security.json"

    @property
    def settings(self) -> dict[str, str]:
        """The section gateway.mqtt."""
        return {
            "url": self.url,
            "username": GATEWAY,
            "password_file": str(self.folder / "gateway.password"),
            "admin_username": ADMIN,
            "admin_password_file": str(self.folder / "admin.password"),
        }


def init(folder: Path, *, host: str = "127.0.0.1", port: int = 1883, plugin: Path | None = None) -> Made:
    """Write everything into `folder` (0700), the secrets 0600.  Raises `Misconfigured`; what is there stays."""
    folder = folder.absolute()
    made = Made(folder, f"mqtt://{_url_host(host)}:{port}", is_loopback(host))
    found = plugin or find_plugin()
    secrets = {name: credentials.new_credential(PASSWORD_PREFIX).secret for name in (GATEWAY, ADMIN)}
    files = {
        made.accounts: orjson.dumps(document(secrets), option=orjson.OPT_INDENT_2).decode(),
        folder / "gateway.password": secrets[GATEWAY],
        folder / "admin.password": secrets[ADMIN],
        made.configuration: CONFIGURATION.format(folder=folder, plugin=found, host=host, port=port),
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = [file.name for file in files if file.exists()]
        if taken:
            raise Misconfigured(f"{folder} has {', '.join(taken)} already: choose another --folder, or remove them")
        for file, text in files.items():
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
                target.write(text.rstrip() + "\n")
    except OSError as e:
        raise Misconfigured(f"{folder} cannot be written ({e.strerror}): choose another --folder") from e
    return made


def document(secrets: dict[str, str]) -> dict[str, object]:
    """The first accounts and roles; everything that no role allows is denied."""
    roles = {GATEWAY: accounts.GATEWAY_ROLE, ADMIN: ADMIN_ROLE}
    acls = {accounts.GATEWAY_ROLE: accounts.gateway_acls(), ADMIN_ROLE: accounts.admin_acls()}
    clients = [
        {"username": name, "roles": [{"rolename": roles[name]}], **Verifier.of(secret)._asdict()}
        for name, secret in secrets.items()
    ]
    return {
        "clients": clients,
        "roles": [{"rolename": name, "acls": allowed} for name, allowed in acls.items()],
        "defaultACLAccess": dict(accounts.DEFAULT_ACCESS),
    }


def find_plugin() -> Path:
    """Mosquitto's dynamic-security plugin where packages put it; raises `Misconfigured`."""
    program = shutil.which("mosquitto")
    near = [Path(program).resolve().parent.parent / "lib"] if program else []
    for folder in (*near, *PLUGIN_FOLDERS):
        for pattern in (PLUGIN, f"*/{PLUGIN}", f"*/*/{PLUGIN}"):
            with contextlib.suppress(OSError):
                for found in folder.glob(pattern):
                    return found
    raise Misconfigured(f"{PLUGIN} is not here: install Mosquitto 2 (apt install mosquitto), or give --plugin")


def _url_host(host: str) -> str:
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{local}]" if ":" in local else local
