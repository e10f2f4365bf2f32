"""The configuration file of an edge as `edge init` writes it: short, and with the words that a newcomer needs."""

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telemetry.batch import is_name
from telemetry.errors import Misconfigured
from telemetry.loopback import is_loopback_url

URL_DEFAULT = "http://127.0.0.1:8080"

HEAD = """\
# What this machine measures, and where it sends it.
#   sensorline edge check    tries everything that is said here
#   sensorline edge run      starts the agent
# Relative paths start at this file's folder.

# Readings are found again under this name; `sensorline edge enroll` gets a token for it.
{device}

# The token (readable by its owner only), and where readings wait until the gateway has acknowledged them.
{token_file}
{data_dir}

# The way to the gateway.
{transport}
"""

TAIL = """
[batch]
# period_s = 1.0  # readings of so long travel together: longer costs less data, shorter shows them sooner

[spool]
# size_bytes_max = 1073741824  # of the disk, while the gateway is not to be reached
# on_full = "drop_oldest"      # or "drop_newest", or "block": the sources wait
# commit_period_s = 5.0        # one write to the card for so long; a power cut loses at most that much

[clock]
# unsynchronised_wait_s = 120.0  # after a start, wait so long for the time service before readings go out

# Sources: a table each, [sources.<a name of yours>]; `type` is the file's name in edge/sources/, the rest are its own
# options, which `sensorline edge check` holds to.  `enabled = false` turns one off.
"""

PLAIN = {
    "http": (
        "plain_http_anywhere",
        "the token travels in the clear: only on a network of your own; else use https:// in the url",
    ),
    "mqtt": (
        "plain_mqtt_anywhere",
        "the token travels in the clear: only on a network of your own; else use mqtts:// in the url",
    ),
}
IS_TLS = {"https": True, "http": False, "mqtts": True, "wss": True, "mqtt": False, "ws": False}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One source to be written: its name, its options, and what a person should know."""

    name: str
    type: str
    options: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""


SYSTEM = Chosen("system", "system", remark="this machine itself: processor temperature, load, memory")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `edge init` asks about."""

    device: str
    url: str = URL_DEFAULT
    sources: Sequence[Chosen] = (SYSTEM,)
    token_file: Path = Path("edge.token")
    data_dir: Path = Path("edge-data")
    plain: bool = False  # the token may travel in the clear

    @property
    def transport(self) -> str:
        """By the URL's scheme; raises `Misconfigured`."""
        return transport_of(self.url)


def transport_of(url: str) -> str:
    """http or mqtt, by the URL's scheme; raises `Misconfigured`."""
    scheme, separator, rest = url.partition("://")
    if not separator or not rest or scheme not in IS_TLS:
        known = ", ".join(f"{name}://" for name in IS_TLS)
        raise Misconfigured(f"{url!r} is no address of a gateway or a broker: it begins with one of {known}")
    return "http" if scheme in ("http", "https") else "mqtt"


def is_in_clear(url: str) -> bool:
    """Whether the token would be read by whoever listens on the way there."""
    return not IS_TLS.get(url.partition("://")[0], False) and not is_loopback_url(url)


def render(plan: Plan) -> str:
    """The file's text."""
    head = HEAD.format(
        device=_line("device", plan.device),
        token_file=_line("token_file", str(plan.token_file)),
        data_dir=_line("data_dir", str(plan.data_dir)),
        transport=_line("transport", plan.transport),
    )
    return "\n".join([head, *_adapter(plan), TAIL, *(_source(s) for s in plan.sources)])


def device_default() -> str:
    """This machine's name, made one that a device may have."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", socket.gethostname().partition(".")[0]).strip("-.")[:64]
    return name if is_name(name) else "edge"


def _adapter(plan: Plan) -> list[str]:
    transport = plan.transport
    lines = [f"[adapters.{transport}]", _line("url", plan.url)]
    if is_in_clear(plan.url):
        setting, warning = PLAIN[transport]
        lines += [f"# {warning}", ("" if plan.plain else "# ") + _line(setting, value=True)]
    else:
        lines.append('# cafile = "ca.pem"  # the authority of a gateway that made its own certificate')
    return lines


def _source(source: Chosen) -> str:
    lines = [f"# {source.remark}"] if source.remark else []
    lines += [f"[sources.{source.name}]", _line("type", source.type)]
    lines += [_line(name, value) for name, value in source.options.items()]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    import tomli_w

    return tomli_w.dumps({name: value}).strip()


def write(plan: Plan, file: Path) -> None:
    """Write the file, checked; raises `Misconfigured`, and then nothing is written."""
    import tomllib

    from edge import settings

    text = render(plan)
    settings.parse(tomllib.loads(text), folder=file.absolute().parent, name=str(file))
    part = file.with_name(file.name + ".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(file)
    except OSError as e:
        raise Misconfigured(f"{file} cannot be written ({e.strerror}): choose another --config") from e
