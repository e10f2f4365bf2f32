"""First start: every secret of compose.yaml, random, each in a file (0600) of the volume of who needs it.

`make_secrets.py make` writes what is not there yet and changes nothing that is; `make_secrets.py show NAME` prints
one that a person needs.  Runs as the user of all services, with no network and no capability.  Folders: SECRETS
(default /secrets) and MOSQUITTO (default /mosquitto/sensorline), which the broker must know by the same path.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

PLUGIN = "/usr/lib/mosquitto_dynamic_security.so"  # where the broker's image has it
ROOT = Path(os.environ.get("SECRETS", "/secrets"))
MOSQUITTO = Path(os.environ.get("MOSQUITTO", "/mosquitto/sensorline"))

KIBANA = """\
server.name: kibana
server.host: 0.0.0.0
elasticsearch.hosts: ["http://elasticsearch:9200"]
elasticsearch.username: kibana_system
elasticsearch.password: "{password}"
monitoring.ui.container.elasticsearch.enabled: true
telemetry.optIn: false
xpack.security.encryptionKey: "{security_key}"
xpack.encryptedSavedObjects.encryptionKey: "{objects_key}"
xpack.reporting.encryptionKey: "{reporting_key}"
"""


def main(arguments: list[str]) -> int:
    """Exit code 0 when all is there."""
    os.umask(0o077)
    if arguments[:1] == ["show"] and len(arguments) == 2:
        print((ROOT / "setup" / f"{arguments[1]}.password").read_text())
        return 0
    if arguments != ["make"]:
        print("usage: make_secrets.py make | show operator", file=sys.stderr)
        return 2
    for file, text in passwords().items():
        once(file, lambda text=text: text)
    once(ROOT / "kibana" / "kibana.yml", kibana_settings)
    broker()
    return 0


def passwords() -> Mapping[Path, str]:
    """A file for each that needs it; the same secret in each of its files, also when some were there already."""
    setup = ROOT / "setup"
    made = {name: once(setup / f"{name}.password", random) for name in ("elastic", "kibana_system", "sensorline")}
    made["operator"] = once(setup / "operator.password", random)
    return {
        ROOT / "elasticsearch" / "elastic.password": made["elastic"],
        ROOT / "sensorline" / "elasticsearch.password": made["sensorline"],
    }


def kibana_settings() -> str:
    """Its whole settings file: Kibana takes no secret from a file of its own."""
    keys = {name: random() for name in ("security_key", "objects_key", "reporting_key")}
    return KIBANA.format(password=(ROOT / "setup" / "kibana_system.password").read_text(), **keys)


def broker() -> None:
    """Mosquitto's folder as `sensorline mqtt init` makes it; the gateways get their passwords and nothing else."""
    if not (MOSQUITTO / "mosquitto.conf").exists():
        for left in ("dynamic-security.json", "gateway.password", "admin.password"):  # of a start that was cut off
            (MOSQUITTO / left).unlink(missing_ok=True)
        command = ["sensorline", "mqtt", "init", "--folder", str(MOSQUITTO), "--host", "0.0.0.0", "--plugin", PLUGIN]  # noqa: S104
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    for name in ("gateway.password", "admin.password"):
        once(ROOT / "mqtt" / name, (MOSQUITTO / name).read_text)


def once(file: Path, make: Callable[[], str]) -> str:
    """What the file holds; written whole or not at all, so that a start that is cut off leaves no half of one."""
    if not file.exists():
        part = file.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
            target.write(make().strip())
            target.flush()
            os.fsync(target.fileno())
        part.rename(file)
    return file.read_text()


def random() -> str:
    """256 bits, safe in any file."""
    return secrets.token_urlsafe(32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
