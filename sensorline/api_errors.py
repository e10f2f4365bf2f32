"""What a station's refusal, or its silence, means to a person at the command line: an error that says the mend."""

from typing import Any

import httpx
import msgspec

from telemetry.errors import Forbidden, Misconfigured, NotFound, Retryable, SensorlineError, Unauthorised
from telemetry.operators import KEY_FILE


class Refused(SensorlineError):
    """The station refused a request for a reason of its own; the message is the station's."""

    code = "refused"


class Unreachable(Retryable):
    """Nobody answers at the URL."""

    code = "unreachable"


def no_answer(url: str, error: httpx.HTTPError) -> SensorlineError:
    """No answer came, or only a part of it."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unreachable(f"no station answers at {url}: start one with `sensorline up`, or give its --url")
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(f"{url} did not answer in time: look at its log, or try again")
    if isinstance(error, httpx.UnsupportedProtocol):
        return Misconfigured(f"{url!r} is no address: give --url like http://127.0.0.1:8080")
    return Unreachable(f"{url}: the connection broke ({type(error).__name__}): try again")


def refusal(url: str, response: httpx.Response, *, has_key: bool) -> SensorlineError:
    """An answer from 300 on, whose body has been read."""
    detail = _detail(response)
    if response.status_code == 401:
        lack = "does not know this key" if has_key else "wants an operator's key"
        return Unauthorised(
            f"{url} {lack}: give --key, SENSORLINE_KEY, or the station's --data-dir with {KEY_FILE} in it"
        )
    if response.status_code == 403:
        return Forbidden(f"this key may not do that: {detail}")
    if response.status_code == 404:
        return NotFound(detail)
    return Refused(detail)


def _detail(response: httpx.Response) -> str:
    """The reason in one line: a problem document's, else the status."""
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{response.request.method} {response.request.url.path} was answered {response.status_code}"
    said = str(problem.get("detail") or problem.get("title") or response.status_code)
    path = problem.get("path") if response.status_code == 422 else None  # the others name what they speak of
    return f"{said} (at {path})" if path and str(path) not in said else said
