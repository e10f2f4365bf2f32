"""Did everything that was acknowledged arrive, once, unchanged?  A ledger against what the gateway's API gives back.

Works on either engine, from outside, with a viewer's key: for each session of the ledger all rows are exported, the
batches rebuilt from them, and their hashes compared with those written down before anything was sent.  Of a batch that
the store keeps as windows only, the claim is compared instead (`reconcile` says what that proves and what not).
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

import httpx

from edge.transports.http import new_client
from simulator import ledger as ledgers
from simulator.api import Api
from simulator.ledger import Handed
from simulator.reconcile import Found, Report, Stored, Summarised, reconcile
from simulator.rows import stored_of
from telemetry.batch import BatchId
from telemetry.clock import Clock, SystemClock
from telemetry.errors import NotFound

POLL_S = 0.5  # doubles up to
POLL_S_MAX = 4.0  # while a store makes its rows visible, exporting them again and again would only slow it
API_WAIT_S = 10.0  # at least, for a gateway that is just starting
CONSUMERS = ("index", "ledger")
IN_MEMORY_BYTES_MAX = 32 * 2**20  # of one export; more goes to a temporary file
DEADLETTERS_MAX = 10_000

__all__ = ["Report", "verify"]


async def verify(
    ledger: Path,
    url: str,
    key: str,
    *,
    wait_s: float = 60.0,
    client: httpx.AsyncClient | None = None,
    cafile: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    clock: Clock | None = None,
) -> Report:
    """Compare until all is clean, or for `wait_s` at most: what was just acknowledged may still be on its way.

    `on_progress(clean, all)` counts sessions.  Raises `Malformed` (the ledger), `Unauthorised` or `Forbidden` (the
    key), `NotReady` (no gateway).  The report's `wait_s` is how long it took until the figures stood.
    """
    clock = clock or SystemClock()
    begin_s = clock.monotonic_s()
    handed = ledgers.read(ledger)
    own = client is None
    client = client or new_client(connections_max=2, cafile=cafile)
    try:
        checker = _Checker(Api(client, url, key, wait_s=max(wait_s, API_WAIT_S), clock=clock))
        total = await _compare(checker, _by_session(handed.values()), begin_s + wait_s, clock, on_progress)
    finally:
        if own:
            await client.aclose()
    total.wait_s = round(clock.monotonic_s() - begin_s, 3)
    return total


def _by_session(handed: Iterable[Handed]) -> list[list[Handed]]:
    def session_of(batch: Handed) -> tuple[str, str]:
        return batch.id.device, batch.id.session

    return [list(group) for _, group in groupby(sorted(handed, key=session_of), key=session_of)]


async def _compare(
    checker: "_Checker",
    sessions: list[list[Handed]],
    ends_s: float,
    clock: Clock,
    on_progress: Callable[[int, int], None] | None,
) -> Report:
    """Sessions that are clean are done; the others are looked at again until the time is over."""
    total, left, poll_s = Report(), sessions, POLL_S
    while left:
        while await checker.is_behind() and clock.monotonic_s() < ends_s:
            await clock.sleep(POLL_S)
        dead = await checker.dead_letters()
        is_last = clock.monotonic_s() >= ends_s
        looked_at, left = left, []
        for n, session in enumerate(looked_at, start=1):
            report = await checker.check(session, dead)
            if report.is_clean or is_last:
                total += report
            else:
                left.append(session)
            if on_progress:
                on_progress(len(sessions) - len(looked_at) + n - len(left), len(sessions))
        await clock.sleep(min(poll_s, max(0.0, ends_s - clock.monotonic_s())) if left else 0)
        poll_s = min(2 * poll_s, POLL_S_MAX)
    return total


class _Checker:
    """Asks the gateway about one session at a time: memory is bounded by the largest session."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def is_behind(self) -> bool:
        """True while the consumers have something left to do."""
        stats = await self._api.get("/v1/stats")
        return any(stats["lag"].get(consumer) for consumer in CONSUMERS)

    async def dead_letters(self) -> set[BatchId]:
        """Batches that lie among the dead letters and were not sent back."""
        answer = await self._api.get("/v1/deadletters", limit=DEADLETTERS_MAX)
        return {
            BatchId(letter["key"], letter["session"], letter["seq"])
            for letter in answer["deadletters"]
            if not letter["replayed"] and letter["session"] is not None and letter["seq"] is not None
        }

    async def check(self, session: Sequence[Handed], dead: set[BatchId]) -> Report:
        """The report of one (device, session)."""
        device, name, _ = session[0].id
        try:
            claims = (await self._api.get("/v1/claims", device=device, session=name))["claims"]
            listed = (await self._api.get("/v1/completeness", device=device, session=name))["sessions"]
            stored = await self._export(device, name)
        except NotFound:  # the device was never heard of, or deleted
            return reconcile(session, Found(dead_lettered=dead))
        expired = {BatchId(device, name, c["seq"]): c["expired"] for c in claims if c["expired"]}
        summarised = {
            BatchId(device, name, c["seq"]): Summarised(c["hash"], c["summarised"])
            for c in claims
            if c.get("summarised")  # a gateway of before there were windows does not say
        }
        duplicates = sum(s["duplicate_batches"] for s in listed)
        return reconcile(session, Found(stored, expired, dead, duplicates, summarised))

    async def _export(self, device: str, session: str) -> dict[BatchId, Stored]:
        asked = {"device": device, "session": session, "format": "arrow"}
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES_MAX) as file:
            await self._api.download("/v1/export", asked, file)
            file.seek(0)
            return stored_of(device, session, file)
