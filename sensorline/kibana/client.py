"""A Kibana over HTTP: its version, the import of saved objects, dashboards by its own API; errors that say the mend."""

import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from sensorline.kibana.views import Document
from telemetry.errors import Forbidden, Misconfigured, NotFound, Retryable, SensorlineError, Unauthorised
from telemetry.loopback import is_loopback_url

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
API_VERSION = "2023-10-31"  # of Kibana's public API; the only one there is
LOOK_AGAIN_S = 2.0
_STARTING = frozenset({429, 502, 503, 504})
_SECRET_BYTES_MAX = 16 * 1024


class KibanaRefused(SensorlineError):
    """Kibana refused for a reason of its own; the message has Kibana's words."""

    code = "kibana_refused"


class KibanaUnreachable(Retryable):
    """Nobody answers, or what answers is not ready and does not become so in time."""

    code = "kibana_unreachable"


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that Kibana did not take, and what mends it."""

    type: str
    id: str
    reason: str
    mend: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to; `moved`: (type, id) -> the id it has here, where another space has it under its own."""

    count: int
    failures: tuple[Failure, ...]
    moved: Mapping[tuple[str, str], str]


class Kibana:
    """A Kibana at `url`, in a space.  Every method raises `SensorlineError` only; no secret is in any message."""

    def __init__(
        self,
        url: str,
        *,
        space: str = "",
        headers: dict[str, str] | None = None,
        cafile: Path | None = None,
        wait_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`wait_s`: for how long one that is starting is asked again; raises `Misconfigured`."""
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise Misconfigured("a --url is seen by all on this machine: give --username and --password-file instead")
        self.url = url.rstrip("/")
        self._space = f"/s/{quote(space, safe='')}" if space and space != "default" else ""
        self._wait_s = wait_s
        self._sleep = sleep
        try:
            tls = ssl.create_default_context(cafile=str(cafile)) if cafile else True
            self._http = httpx.Client(
                base_url=self.url,
                headers={"kbn-xsrf": "sensorline"} | (headers or {}),
                timeout=TIMEOUT,
                verify=tls,
                transport=transport,
                follow_redirects=False,  # a secret goes to the address that was given, and to no other
            )
        except (OSError, ssl.SSLError) as e:
            raise Misconfigured(f"{cafile} cannot be used: {e}") from e
        except (httpx.InvalidURL, ValueError) as e:
            raise Misconfigured(
                f"{url!r} or the credentials are not usable: give --url like http://127.0.0.1:5601"
            ) from e

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def version(self) -> str:
        """Such as "9.5.1"; "" where this user may not see it."""
        answer = self._ask("GET", "/api/status")
        number = _object(answer).get("version", {})
        return str(number.get("number", "")) if isinstance(number, dict) else ""

    def import_objects(self, ndjson: str) -> Imported:
        """Install saved objects, in place of those with the same ids."""
        files = {"file": ("sensorline.ndjson", ndjson.encode(), "application/ndjson")}
        answer = self._ask("POST", "/api/saved_objects/_import", params={"overwrite": "true"}, files=files)
        document = _object(answer)
        count, errors = document.get("successCount"), document.get("errors", [])
        if not isinstance(count, int) or not isinstance(errors, list):
            raise self._no_kibana()
        failures = tuple(_failure(error) for error in errors)
        if not failures and document.get("success") is not True:
            raise KibanaRefused(f"{self.url} did not import everything and does not say why: look at Kibana's log")
        return Imported(count, failures, _moved(document.get("successResults")))

    def put_dashboard(self, id_: str, body: Document) -> None:
        """Make a dashboard by the Dashboards API (9.5 and newer), in place of the one with this id."""
        self._ask("PUT", f"/api/dashboards/{quote(id_, safe='')}", json=body)

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """What is sent again is the same, and both calls replace what is there: asking twice does no harm."""
        ends_s = time.monotonic() + self._wait_s
        while True:
            error, wait_s = self._try(method, path, **more)
            if isinstance(error, httpx.Response):
                return error
            if time.monotonic() + wait_s > ends_s:
                raise error
            self._sleep(wait_s)

    def _try(self, method: str, path: str, **more: Any) -> tuple[httpx.Response | SensorlineError, float]:
        headers = {"elastic-api-version": API_VERSION}
        try:
            answer = self._http.request(method, f"{self._space}{path}", headers=headers, **more)
        except httpx.HTTPError as e:
            return self._translated(e), LOOK_AGAIN_S
        if answer.status_code in _STARTING:
            return KibanaUnreachable(f"{self.url} is not ready ({_said(answer)}): look at its log"), _after_s(answer)
        if answer.status_code >= 300:
            raise self._refusal(answer)
        return answer, 0.0

    def _translated(self, error: httpx.HTTPError) -> SensorlineError:
        if isinstance(error, httpx.UnsupportedProtocol):
            raise Misconfigured(f"{self.url!r} is no address: give --url like http://127.0.0.1:5601") from error
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise Misconfigured(
                f"{self.url}: its certificate is not trusted: give its authority by --cafile"
            ) from error
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return KibanaUnreachable(f"{self.url} did not answer in time: look at its log, or try again")
        return KibanaUnreachable(f"no Kibana answers at {self.url}: start it, or give its --url")

    def _refusal(self, answer: httpx.Response) -> SensorlineError:
        said, status = _said(answer), answer.status_code
        if status in {301, 302, 303, 307, 308}:
            where = answer.headers.get("location", "elsewhere")
            return KibanaRefused(f"{self.url} sends one on to {where}: give the --url that answers itself")
        if status == 401:
            mend = "give --api-key-file, or --username with --password-file"
            return Unauthorised(f"{self.url} does not let this user in: {mend}")
        if status == 403:
            return Forbidden(
                f"this user may not write saved objects there: give a role with Kibana's privileges ({said})"
            )
        if status == 404:
            return NotFound(f"{self.url}{self._space} knows no such address: check --url and --space ({said})")
        if status == 413:
            return KibanaRefused(f"{self.url} takes no file of this size: raise savedObjects.maxImportPayloadBytes")
        return KibanaRefused(f"{self.url} refused ({status}): {said}")

    def _no_kibana(self) -> KibanaRefused:
        return KibanaRefused(f"{self.url} does not answer like Kibana: check --url")


def authorisation(
    url: str,
    *,
    api_key_file: Path | None,
    username: str | None,
    password_file: Path | None,
    allow_http: bool,
) -> dict[str, str]:
    """The header that lets one in; {} without credentials.  Raises `Misconfigured`."""
    if api_key_file is not None and (username is not None or password_file is not None):
        raise Misconfigured("give --api-key-file, or --username with --password-file, not both")
    if (username is None) != (password_file is None):
        raise Misconfigured("--username and --password-file go together")
    if api_key_file is not None:
        _not_in_the_clear(url, allow_http)
        return {"Authorization": f"ApiKey {_secret(api_key_file)}"}
    if password_file is not None:
        _not_in_the_clear(url, allow_http)
        return {"Authorization": f"Basic {b64encode(f'{username}:{_secret(password_file)}'.encode()).decode()}"}
    return {}


def _not_in_the_clear(url: str, allow_http: bool) -> None:
    if url.lower().startswith("http://") and not is_loopback_url(url) and not allow_http:
        raise Misconfigured(
            "the secret would travel in the clear: use https://, or --allow-http on a network of your own"
        )


def _secret(file: Path) -> str:
    try:
        text = file.read_bytes()[:_SECRET_BYTES_MAX].decode().strip()
    except OSError as e:
        raise Misconfigured(f"{file} cannot be read ({e.strerror}): it holds the secret, in one line") from e
    except UnicodeDecodeError as e:
        raise Misconfigured(f"{file} holds no secret: it must be one line of plain text") from e
    if not text or "\n" in text:
        raise Misconfigured(f"{file} holds no secret: it must be one line of plain text")
    return text


def _object(answer: httpx.Response) -> Document:
    try:
        document = answer.json()
    except ValueError as e:
        url = str(answer.request.url.copy_with(query=None))
        raise KibanaRefused(f"{url} does not answer like Kibana: check --url") from e
    if not isinstance(document, dict):
        raise KibanaRefused(f"{answer.request.url} does not answer like Kibana: check --url")
    return document


_MENDS = {
    "conflict": "something took the id meanwhile: install again",
    "ambiguous_conflict": "several objects stem from this one: delete those that are no longer wanted",
    "missing_references": "what it refers to was not taken: mend that first",
    "unsupported_type": "this Kibana lacks the feature (such as Maps): switch it on, or leave it out",
}


def _failure(error: Any) -> Failure:
    """One of `errors[]`."""
    error = error if isinstance(error, dict) else {}
    cause = error.get("error")
    cause = cause if isinstance(cause, dict) else {}
    kind = str(cause.get("type", "unknown"))
    reason = " ".join(str(part) for part in (kind, cause.get("message"), _missing(cause)) if part)
    mend = _MENDS.get(kind, "look at Kibana's log")
    return Failure(str(error.get("type", "?")), str(error.get("id", "?")), reason, mend)


def _moved(results: Any) -> dict[tuple[str, str], str]:
    """Ids are unique over all spaces: what another space has already, Kibana makes here under an id of its choice."""
    found: Sequence[Any] = results if isinstance(results, list) else ()
    moved = ((r.get("type"), r.get("id"), r.get("destinationId")) for r in found if isinstance(r, dict))
    return {(str(type_), str(id_)): str(there) for type_, id_, there in moved if there and there != id_}


def _missing(cause: Document) -> str:
    references = cause.get("references")
    found: Sequence[Any] = references if isinstance(references, list) else ()
    return ", ".join(f"{r.get('type')} {r.get('id')}" for r in found if isinstance(r, dict))


def _said(answer: httpx.Response) -> str:
    """Kibana's words in one line."""
    try:
        document = answer.json()
        said = document.get("message") or document.get("error") or answer.reason_phrase
    except (ValueError, AttributeError):
        said = answer.text or answer.reason_phrase
    return " ".join(str(said).split())[:500]


def _after_s(answer: httpx.Response) -> float:
    try:
        return min(60.0, max(0.1, float(answer.headers["retry-after"])))
    except (KeyError, ValueError):
        return LOOK_AGAIN_S
