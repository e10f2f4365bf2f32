"""An edge gets its token for a code: the token's file, and what its configuration lacks to use it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from edge.transports.http import check_url
from sensorline import private_file
from sensorline.api import Api
from telemetry.errors import Misconfigured
from telemetry.loopback import is_loopback_url

TOKEN_FILE = "edge.token"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What was got and done; `to_set` are settings that the file has otherwise, for a person to look at."""

    device: str
    token_file: Path
    config: Path | None
    added: Mapping[str, Any] = field(default_factory=dict)
    to_set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EdgeFile:
    """An edge's configuration as it stands; `path` None where there is none yet."""

    path: Path | None
    text: str
    document: Mapping[str, Any]

    @property
    def token_file(self) -> Path:
        """Where the token belongs."""
        folder = Path() if self.path is None else self.path.parent
        return folder / str(self.document.get("token_file", TOKEN_FILE))

    @property
    def http(self) -> Mapping[str, Any]:
        """The transport's settings."""
        adapters = self.document.get("adapters", {})
        found = adapters.get("http", {}) if isinstance(adapters, dict) else {}
        return found if isinstance(found, dict) else {}


def enroll(
    url: str, code: str, *, config: Path | None, name: str | None, cafile: str | None, allow_http: bool
) -> Enrolment:
    """Use the code up and keep the token (0600).  What can fail is tried before the code is used.

    Raises `Misconfigured`, and what `Api.enroll` does.
    """
    url = check_url(url).rstrip("/")
    is_plain = httpx.URL(url).scheme == "http" and not is_loopback_url(url)
    if is_plain and not allow_http:
        raise Misconfigured(
            "the token would travel in the clear: use https://, or --allow-http on a network of your own"
        )
    file = read(config)
    known = file.document.get("device")
    authority = cafile or _beside(file, file.http.get("cafile"))
    try:
        with Api(url, None, cafile=authority) as api, private_file.replacing(file.token_file) as kept:
            enrolled = api.enroll(code, device=name or (known if isinstance(known, str) else None))
            kept.write(enrolled.token.encode() + b"\n")
    except OSError as e:
        raise Misconfigured(f"{file.token_file} cannot be written ({e.strerror}): run this as the edge's user") from e
    wanted: dict[str, Any] = {"device": enrolled.device}
    if file.document.get("transport", "http") == "http":
        wanted |= {"adapters.http.url": url} | ({"adapters.http.plain_http_anywhere": True} if is_plain else {})
    added, to_set = update(file, wanted)
    return Enrolment(enrolled.device, file.token_file, file.path, added, to_set)


def read(config: Path | None) -> EdgeFile:
    """The file that is named, or edge.toml where it is there; raises `Misconfigured`."""
    path = config or Path("edge.toml")
    try:
        text = path.read_text()
        return EdgeFile(path, text, tomllib.loads(text))
    except FileNotFoundError as e:
        if config is None:
            return EdgeFile(None, "", {})
        raise Misconfigured(f"there is no {path}: make one with `sensorline edge init`") from e
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Misconfigured(f"{path}: {e}") from e


def update(file: EdgeFile, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write what the file lacks; (what was added, what a person must set because the file says otherwise)."""
    lacking = {path: value for path, value in wanted.items() if _at(file.document, path) is None}
    otherwise = {path: value for path, value in wanted.items() if _at(file.document, path) not in (None, value)}
    if file.path is None:
        return {}, dict(wanted)
    text = with_settings(file.text, lacking)
    if text is None:
        return {}, lacking | otherwise
    if lacking:
        mode = file.path.stat().st_mode & 0o777
        try:
            with private_file.replacing(file.path) as made:
                made.write(text.encode())
            file.path.chmod(mode)
        except OSError:
            return {}, lacking | otherwise
    return lacking, otherwise


def with_settings(text: str, lacking: Mapping[str, Any]) -> str | None:
    """The file's text with these lines more, everything else as it was; None where that cannot be done.  Pure.

    `device` goes to the top; [adapters.http] gets its lines under its header, or is added at the end.
    """
    import tomli_w

    own = {path: value for path, value in lacking.items() if "." not in path}
    under = {path.rpartition(".")[2]: value for path, value in lacking.items() if "." in path}
    made = text
    if under:
        lines = tomli_w.dumps(under)
        before, header, after = _parted(text, "[adapters.http]")
        made = f"{before}{header}{lines}{after}" if header else f"{text.rstrip()}\n\n[adapters.http]\n{lines}"
    made = (tomli_w.dumps(own) if own else "") + made.lstrip("\n" if own else "")
    try:
        document = tomllib.loads(made)
    except tomllib.TOMLDecodeError:  # `adapters` is written in a way of its own
        return None
    return made if all(_at(document, path) == value for path, value in lacking.items()) else None


def _parted(text: str, header: str) -> tuple[str, str, str]:
    """Before the header's line, the line, and what follows; the line is empty where there is none."""
    before = ""
    rest = text
    while rest:
        line, newline, rest = rest.partition("\n")
        if line.partition("#")[0].strip() == header:
            return before, line + "\n", rest
        before += line + newline
    return text, "", ""


def _at(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _beside(file: EdgeFile, name: Any) -> str | None:
    return str(file.path.parent / name) if file.path is not None and isinstance(name, str) else None
