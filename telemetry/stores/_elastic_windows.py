"""Windows as documents in one index a day, versioned by their revision: an older write never wins.

Windows of an impossible clock share one index, as rows do (`_elastic_rows.Window`).  How late is too late counts from
now, so a window written again after weeks may lie in both its day's index and the shared one: a reader takes the
higher revision.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from telemetry.clock import Clock
from telemetry.ports import Span
from telemetry.stores._buckets import bounds
from telemetry.stores._days import DAY_NS
from telemetry.stores._elastic_bulk import Retry, send
from telemetry.stores._elastic_http import NDJSON, Elastic
from telemetry.stores._elastic_names import Names, from_iso, iso
from telemetry.stores._elastic_search import filtered, pages
from telemetry.stores._windows import Window, rows_of, table_of
from telemetry.window import Windows


def window_key(windows: Windows, t: int) -> str:
    """The `_id` of a window's document."""
    identity = (windows.device, windows.sensor, windows.session, windows.kind, str(windows.width_ns), str(t))
    return base64.urlsafe_b64encode(hashlib.blake2b("/".join(identity).encode(), digest_size=18).digest()).decode()


async def put(
    elastic: Elastic,
    names: Names,
    windows: Sequence[Windows],
    *,
    late_days_max: int,
    bytes_max: int,
    retry: Retry,
    clock: Clock,
) -> None:
    """Keep them, in requests of at most `bytes_max` (or one window)."""
    today = clock.now_ns() // DAY_NS
    first_day, last_day = today - late_days_max, today + 1
    held: dict[str, list[bytes]] = {}
    sizes_bytes: dict[str, int] = {}
    for t, lines in _operations(windows):
        day = t // DAY_NS
        index = names.windows_day(day) if first_day <= day <= last_day else names.windows_skewed
        if sizes_bytes.get(index, 0) + len(lines) > bytes_max and index in held:
            await _send(elastic, index, held.pop(index), retry, clock)
            sizes_bytes[index] = 0
        held.setdefault(index, []).append(lines)
        sizes_bytes[index] = sizes_bytes.get(index, 0) + len(lines)
    for index, parts in held.items():
        await _send(elastic, index, parts, retry, clock)


async def listed(
    elastic: Elastic, names: Names, span: Span, *, kind: str, width_ns: int, limit: int, size: int
) -> pa.Table:
    """See `Store.windows`."""
    first_ns, last_ns = bounds(span.from_ns, span.to_ns)
    found: dict[tuple[int, str], Window] = {}
    if first_ns <= last_ns and limit > 0:
        query = filtered(first_ns, last_ns, device=span.device, sensor=span.sensor, kind=kind)
        query["bool"]["filter"].append({"term": {"width_ns": width_ns}})
        hits = pages(elastic, names.windows, query, sort=("@timestamp", "session"), size=min(size, limit + 1))
        async for page in hits:
            for hit in page:
                _keep(found, _window(hit["_source"]))
            if sum(1 for window in found.values() if window.count) > limit:  # so all of the first `limit` are whole
                break
        await hits.aclose()
    return table_of([window for window in found.values() if window.count][:limit])


def _keep(found: dict[tuple[int, str], Window], window: Window) -> None:
    kept = found.get((window.t, window.session))
    if kept is None or window.revision > kept.revision:
        found[window.t, window.session] = window


def _window(document: Mapping[str, Any]) -> Window:
    return Window(
        from_iso(document["@timestamp"]),
        from_iso(document["end"]),
        document["session"],
        document["count"],
        document["revision"],
        {name: float(value) for name, value in document["features"].items()},
    )


def _operations(windows: Sequence[Windows]) -> Iterator[tuple[int, bytes]]:
    """(start, action and document as JSON lines) of each window."""
    for some in windows:
        about = {"device": some.device, "sensor": some.sensor, "session": some.session, "kind": some.kind}
        for row in rows_of(some):
            version = {"version": row.revision, "version_type": "external"}
            document = {
                "@timestamp": iso(row.t),
                "end": iso(row.end),
                **about,
                "width_ns": some.width_ns,
                "count": row.count,
                "revision": row.revision,
                "features": row.features,
            }
            action = orjson.dumps({"index": {"_id": window_key(some, row.t), **version}})
            yield row.t, action + b"\n" + orjson.dumps(document)


async def _send(elastic: Elastic, index: str, lines: Sequence[bytes], retry: Retry, clock: Clock) -> None:
    body = b"\n".join((*lines, b""))
    await send(elastic, index, body, retry=retry, clock=clock, content_type=NDJSON)
