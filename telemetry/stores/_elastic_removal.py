"""What leaves the store: a device's data, document by document, and whole days."""

from telemetry.clock import Clock
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._days import day_start_ns
from telemetry.stores._elastic_bulk import Retry, send
from telemetry.stores._elastic_http import Elastic, ask
from telemetry.stores._elastic_names import Names, day_end_ns, iso
from telemetry.stores._elastic_search import Query, filtered, pages

_PAGE = 5_000


async def delete_device(elastic: Elastic, names: Names, device: str, *, retry: Retry, clock: Clock) -> int:
    """Rows first: while a claim stands, a resend finds it and a second call finds the rest."""
    rows = 0
    for index in (names.readings, names.claims, names.sessions, names.anomalies, names.windows):
        await _refresh(elastic, index)
        gone = await _delete_found(elastic, index, filtered(device=device), retry=retry, clock=clock)
        rows += gone if index == names.readings else 0
        await _refresh(elastic, index)
    return rows


async def prune(elastic: Elastic, names: Names, *, before_ns: int, retry: Retry, clock: Clock) -> int:
    """Drop the day indices before the day of `before_ns`, rows as old among the skewed, claims without rows, anomalies.

    Returns the rows.
    """
    cut_ns = day_start_ns(before_ns)
    if cut_ns <= 0:
        return 0
    old, dropped = filtered(0, cut_ns - 1), {}
    for pattern, skewed in ((names.readings, names.skewed), (names.windows, names.windows_skewed)):
        await _refresh(elastic, pattern)
        dropped[pattern] = await _drop_days(elastic, names, pattern, cut_ns)
        dropped[pattern] += await _delete_found(elastic, skewed, old, retry=retry, clock=clock)
        await _refresh(elastic, pattern)
    await _forget_claims(elastic, names, cut_ns, retry=retry, clock=clock)
    await _delete_found(elastic, names.anomalies, old, retry=retry, clock=clock)
    await _refresh(elastic, names.anomalies)
    return dropped[names.readings]


async def _drop_days(elastic: Elastic, names: Names, pattern: str, cut_ns: int) -> int:
    dropped = 0
    for index in sorted(await ask(elastic, "GET", f"/{pattern}/_alias")):
        day = names.day_of(index)
        if day is not None and day_end_ns(day) <= cut_ns:
            dropped += await _drop(elastic, index)
    return dropped


async def _forget_claims(elastic: Elastic, names: Names, cut_ns: int, *, retry: Retry, clock: Clock) -> None:
    """A claim goes with its last row, unless its batch came after the cut: a resend must still find it."""
    await _refresh(elastic, names.claims)
    before = {"range": {"received": {"lt": iso(cut_ns)}}}
    held = {"range": {"last": {"gte": iso(cut_ns)}}}
    query = {"bool": {"filter": [before], "must_not": [held]}}
    await _delete_found(elastic, names.claims, query, retry=retry, clock=clock)
    await _refresh(elastic, names.claims)


async def _delete_found(elastic: Elastic, index: str, query: Query, *, retry: Retry, clock: Clock) -> int:
    """Delete by id what the query finds now; returns how many."""
    deleted = 0
    async for hits in pages(elastic, index, query, sort=(), size=_PAGE, source=False):
        by_index: dict[str, list[bytes]] = {}
        for hit in hits:
            by_index.setdefault(hit["_index"], []).append(smile.document({"delete": {"_id": hit["_id"]}}))
        for place, operations in by_index.items():
            results = await send(elastic, place, b"".join(operations), retry=retry, clock=clock)
            deleted += sum(result["status"] == 200 for result in results)
    return deleted


async def _drop(elastic: Elastic, index: str) -> int:
    count: int = (await ask(elastic, "GET", f"/{index}/_count"))["count"]
    await ask(elastic, "DELETE", f"/{index}", missing_ok=True)
    return count


async def _refresh(elastic: Elastic, index: str) -> None:
    await ask(elastic, "POST", f"/{index}/_refresh", missing_ok=True)
