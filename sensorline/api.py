"""The command line's client of a running station's HTTP API: typed answers, and errors that say the mend."""

import os
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from sensorline import output
from sensorline.answers import (
    Account,
    Anomalies,
    Anomaly,
    Code,
    DeadLetter,
    Deleted,
    Device,
    DeviceSettings,
    Enrolled,
    Issued,
    Label,
    Person,
    PersonPassword,
    Replayed,
    Stats,
    Windows,
)
from sensorline.api_errors import Refused, Unreachable, no_answer, refusal
from telemetry.errors import Misconfigured
from telemetry.operators import KEY_FILE

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STREAM_TIMEOUT = httpx.Timeout(300.0, connect=5.0)
CHUNK_BYTES = 1 << 20
LOOK_AGAIN_S = 0.2
PAGE_MAX = 1_000  # anomalies of one answer
START_WAIT_S = 30.0  # for a station that is just starting: with Kafka it takes its time

T = TypeVar("T")


def find_key(given: str | None, data_dir: Path) -> str | None:
    """The operator's key: as given, from `SENSORLINE_KEY`, or from the file that the first start left; else None."""
    found = given or os.environ.get("SENSORLINE_KEY")
    if found:
        return found.strip()
    file = data_dir / KEY_FILE
    try:
        return file.read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise Misconfigured(f"{file} cannot be read ({e}): give the operator's key with --key") from e


def _trusting(cafile: str) -> ssl.SSLContext:
    """The public authorities, and this one."""
    context = ssl.create_default_context()
    context.load_verify_locations(cafile)
    return context


class Api:
    """A station at `url`.  Every method raises `SensorlineError` only."""

    def __init__(
        self, url: str, key: str | None, *, cafile: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Raises `Misconfigured`."""
        self.url = url.rstrip("/")
        self._key = key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            verify = _trusting(cafile) if cafile else True
            self._http = httpx.Client(
                base_url=self.url, headers=headers, timeout=TIMEOUT, transport=transport, verify=verify
            )
        except OSError as e:  # ssl.SSLError is one
            raise Misconfigured(f"{cafile} cannot be used: {e}") from e
        except (httpx.InvalidURL, ValueError) as e:  # a header that is not ASCII is a ValueError
            raise Misconfigured(f"{url!r} or the key is not usable: {e}") from e

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def wait_until_up(self, wait_s: float) -> None:
        """Return once a station answers, one that is just starting, too; raises what `stats` does after `wait_s`."""
        ends_s = time.monotonic() + wait_s
        waiting = False
        while True:
            try:
                self._ask(dict[str, Any], "GET", "/healthz")
            except Unreachable:
                if time.monotonic() >= ends_s:
                    raise
                if not waiting:
                    output.remark(f"waiting for a station at {self.url} ...")
                waiting = True
                time.sleep(LOOK_AGAIN_S)
            else:
                return

    def stats(self) -> Stats:
        """Counts; needs no key on loopback."""
        return self._ask(Stats, "GET", "/v1/stats")

    def devices(self) -> list[Device]:
        """All devices, registered or only seen."""
        return self._ask(dict[str, list[Device]], "GET", "/v1/devices")["devices"]

    def add_device(self, device: str, *, platform: str | None, standardised: bool | None) -> Issued:
        """Register a device; `Refused` when it exists."""
        wanted = {"device": device, "platform": platform, "standardised": standardised}
        body = {name: value for name, value in wanted.items() if value is not None}
        return self._ask(Issued, "POST", "/v1/devices", body=body)

    def rotate(self, device: str, *, overlap_s: float) -> Issued:
        """A new token; the old ones end after `overlap_s`."""
        return self._ask(Issued, "POST", f"/v1/devices/{_segment(device)}/rotate", body={"overlap_s": overlap_s})

    def revoke(self, device: str, *, token_id: str | None) -> int:
        """End a token, or all of the device's; returns how many."""
        body = {"token_id": token_id} if token_id else {}
        answer = self._ask(dict[str, Any], "POST", f"/v1/devices/{_segment(device)}/revoke", body=body)
        return int(answer["revoked"])

    def device_settings(self, device: str) -> DeviceSettings:
        """What an edge is to run with, and what it reports."""
        return self._ask(DeviceSettings, "GET", f"/v1/devices/{_segment(device)}/settings")

    def change_device_settings(self, device: str, changes: dict[str, Any]) -> DeviceSettings:
        """Give an edge these settings, in place of those of before."""
        return self._ask(DeviceSettings, "PUT", f"/v1/devices/{_segment(device)}/settings", body=changes)

    def offer_code(self, device: str) -> Code:
        """A code that enrols a device, once."""
        return self._ask(Code, "POST", f"/v1/devices/{_segment(device)}/codes")

    def enroll(self, code: str, *, device: str | None) -> Enrolled:
        """The token that a code is good for; `Refused` for a code that is another device's, which stays good."""
        body = {"code": code} | ({"device": device} if device else {})
        return self._ask(Enrolled, "POST", "/v1/enroll", body=body)

    def mqtt_accounts(self) -> list[Account]:
        """The accounts that an MQTT broker should have."""
        return self._ask(dict[str, list[Account]], "GET", "/v1/mqtt/accounts", timeout=STREAM_TIMEOUT)["accounts"]

    def people(self) -> list[Person]:
        """Who may log in."""
        return self._ask(dict[str, list[Person]], "GET", "/v1/people")["people"]

    def add_person(self, name: str, role: str) -> PersonPassword:
        """Let somebody log in; `Refused` when the name is taken."""
        return self._ask(PersonPassword, "POST", "/v1/people", body={"name": name, "role": role})

    def reset_password(self, name: str) -> PersonPassword:
        """A new random password."""
        return self._ask(PersonPassword, "POST", f"/v1/people/{_segment(name)}/password")

    def remove_person(self, name: str) -> None:
        """End a person's access; `Refused` for the last admin."""
        self._ask(dict[str, Any], "DELETE", f"/v1/people/{_segment(name)}")

    def delete_device(self, device: str) -> Deleted:
        """Remove a device and its readings, for good."""
        return self._ask(Deleted, "DELETE", f"/v1/devices/{_segment(device)}", timeout=STREAM_TIMEOUT)

    def deadletters(self, *, limit: int) -> list[DeadLetter]:
        """The newest dead letters."""
        return self._ask(dict[str, list[DeadLetter]], "GET", "/v1/deadletters", params={"limit": limit})["deadletters"]

    def anomalies(self, params: Mapping[str, str], *, limit: int) -> Iterator[Anomaly]:
        """The latest first, in as many calls as it takes."""
        asked, left = dict(params), limit
        while left > 0:
            page = self._ask(Anomalies, "GET", "/v1/anomalies", params={**asked, "limit": min(left, PAGE_MAX)})
            yield from page.anomalies
            left -= len(page.anomalies)
            if page.next is None:
                return
            asked["after"] = page.next

    def anomaly(self, id_: str) -> Anomaly:
        """One, with its samples."""
        return self._ask(Anomaly, "GET", f"/v1/anomalies/{_segment(id_)}")

    def label(self, id_: str, said: Mapping[str, Any]) -> Label:
        """Say this of an anomaly, in place of what was said before."""
        return self._ask(Label, "PUT", f"/v1/anomalies/{_segment(id_)}/label", body=dict(said))

    def windows(self, params: Mapping[str, str]) -> Windows:
        """The windows of one sensor."""
        return self._ask(Windows, "GET", "/v1/windows", params=params)

    def replay(self, ids: Sequence[str] | None) -> Replayed:
        """Send these dead letters (None: all) back to their topic, in as many calls as it takes."""
        if ids is not None:
            return self._replay({"ids": list(ids)})
        total = Replayed(0, 0, 1)
        while total.left:
            done = self._replay({"all": True})
            if done.left and not done.replayed:  # what is left would be left the next time, too
                raise Refused(f"{done.left} dead letters cannot be replayed now: look at `sensorline deadletters list`")
            total = Replayed(total.replayed + done.replayed, total.skipped + done.skipped, done.left)
        return total

    def _replay(self, body: dict[str, Any]) -> Replayed:
        return self._ask(Replayed, "POST", "/v1/deadletters/replay", body=body, timeout=STREAM_TIMEOUT)

    @contextmanager
    def stream(self, path: str, params: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """An answer's bytes as they come."""
        with self._http.stream("GET", path, params=dict(params), timeout=STREAM_TIMEOUT) as response:
            if response.status_code >= 300:
                response.read()
                raise refusal(self.url, response, has_key=bool(self._key))
            yield response.iter_bytes(CHUNK_BYTES)

    def save(self, path: str, params: Mapping[str, str]) -> Iterator[bytes]:
        """As `stream`, with the transport's errors translated."""
        try:
            with self.stream(path, params) as chunks:
                yield from chunks
        except httpx.HTTPError as e:
            raise no_answer(self.url, e) from e

    def _ask(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> T:
        try:
            response = self._http.request(method, path, json=body, params=params, timeout=timeout)
        except httpx.HTTPError as e:
            raise no_answer(self.url, e) from e
        if response.status_code >= 300:
            raise refusal(self.url, response, has_key=bool(self._key))
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise Refused(f"{self.url} does not answer like a Sensorline station ({e}): check --url") from e


def _segment(name: str) -> str:
    """A name as one path segment: what is no name must not become another path."""
    return quote(name, safe="")
