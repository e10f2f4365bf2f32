"""Bulk requests until every operation has ended: only what failed is sent again, a bounded number of times.

An operation ends as created, as there already (409), or as refused for its own content.  Anything else (429, 5xx, a
full disk, the shard limit) is tried again, and after the last attempt `StoreUnavailable` is raised: the caller
writes all of it again, which changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from telemetry.clock import Clock
from telemetry.errors import StoreUnavailable
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._elastic_http import SMILE, Answer, Elastic, is_documents_fault, reason_of, refused
from telemetry.stores._elastic_rows import Chunk

_FILTER = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
_BACKOFF_S_MAX = 5.0


@dataclass(slots=True)
class Ended:
    """How one item's operations ended; `details` are the first refusals."""

    created: int = 0
    existed: int = 0
    refused: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is sent in all, and how long to wait before the second time (then doubled)."""

    attempts_max: int
    backoff_s: float

    def wait_s(self, attempt: int) -> float:
        """Before the attempt after this one."""
        return min(self.backoff_s * 2.0**attempt, _BACKOFF_S_MAX)


@dataclass(slots=True)
class _Request:
    """Operations for one index; `owners` says, in order, how many belong to which item."""

    index: str
    parts: list[bytes] = field(default_factory=list)
    owners: list[tuple[int, int]] = field(default_factory=list)
    size_bytes: int = 0
    may_be_ours: bool = False  # an earlier attempt got no answer: what is there now may be what it wrote

    def add(self, chunk: Chunk) -> None:
        self.parts.append(chunk.body)
        self.owners.append((chunk.item, chunk.operations))
        self.size_bytes += len(chunk.body)


async def create_rows(
    elastic: Elastic, chunks: Iterator[Chunk], *, bytes_max: int, retry: Retry, clock: Clock
) -> dict[int, Ended]:
    """Create every row of the chunks, in requests of at most `bytes_max` (or one chunk); by item how they ended."""
    ended: dict[int, Ended] = {}
    for request in _requests(chunks, bytes_max):
        await _until_ended(elastic, request, ended, retry, clock)
    return ended


async def send(
    elastic: Elastic, index: str, body: bytes, *, retry: Retry, clock: Clock, content_type: str = SMILE
) -> Sequence[Mapping[str, Any]]:
    """One bulk request, sent again as a whole while it or an item in it fails for the cluster's reasons.

    For small documents of which a repeated write changes nothing.  Returns the items' results in order.
    """
    for attempt in range(retry.attempts_max):
        try:
            items = _items(await _post(elastic, index, body, content_type))
            bad = [i for i in items if i["status"] not in {200, 201, 404, 409}]
            if not bad:
                return items
            why = StoreUnavailable(f"Elasticsearch did not take a document of {index}: {reason_of(bad[0]['error'])}")
        except StoreUnavailable as e:
            why = e
        await _pause(attempt, retry, clock, why)
    raise AssertionError("the last pause raises")


def _requests(chunks: Iterator[Chunk], bytes_max: int) -> Iterator[_Request]:
    """Full requests as soon as they are full: no more than one a day index is held."""
    open_requests: dict[str, _Request] = {}
    for chunk in chunks:
        request = open_requests.get(chunk.index)
        if request is not None and request.size_bytes + len(chunk.body) > bytes_max:
            yield open_requests.pop(chunk.index)
            request = None
        if request is None:
            request = open_requests[chunk.index] = _Request(chunk.index)
        request.add(chunk)
    yield from open_requests.values()


async def _until_ended(
    elastic: Elastic, request: _Request, ended: dict[int, Ended], retry: Retry, clock: Clock
) -> None:
    for attempt in range(retry.attempts_max):
        try:
            answer = await _post(elastic, request.index, b"".join(request.parts))
            if answer.body.startswith(b'{"errors":false'):
                for item, operations in request.owners:
                    ended.setdefault(item, Ended()).created += operations
                return
            left, why = _settle(request, _items(answer), ended)
        except StoreUnavailable as e:
            request.may_be_ours, left, why = True, request, e
        if left is None:
            return
        request = left
        await _pause(attempt, retry, clock, why)


async def _pause(attempt: int, retry: Retry, clock: Clock, why: StoreUnavailable) -> None:
    """Wait before the next attempt; raises `why` when there is none."""
    if attempt + 1 >= retry.attempts_max:
        raise why
    await clock.sleep(retry.wait_s(attempt))


async def _post(elastic: Elastic, index: str, body: bytes, content_type: str = SMILE) -> Answer:
    answer = await elastic.request("POST", f"/{index}/_bulk?{_FILTER}", body, content_type=content_type)
    if answer.status >= 300:
        raise refused(answer, f"a bulk request to {index}")
    return answer


def _items(answer: Answer) -> list[dict[str, Any]]:
    return [next(iter(item.values())) for item in answer.json().get("items", [])]


def _settle(
    request: _Request, results: Sequence[Mapping[str, Any]], ended: dict[int, Ended]
) -> tuple[_Request | None, StoreUnavailable]:
    """Count what has ended; what has not is a new request, with the first reason why."""
    operations = sum(n for _, n in request.owners)
    if len(results) != operations:
        raise StoreUnavailable(f"Elasticsearch answered {len(results)} of {operations} operations")
    left = _Request(request.index, may_be_ours=request.may_be_ours)
    why = StoreUnavailable("")
    documents: list[bytes] = []
    at = 0
    for item, count in request.owners:
        counted = ended.setdefault(item, Ended())
        for k in range(at, at + count):
            if _count(counted, results[k], request.may_be_ours):
                continue
            if not documents:
                documents = b"".join(request.parts).split(smile.END)
                why = StoreUnavailable(f"Elasticsearch held rows of {request.index}: {reason_of(results[k]['error'])}")
            left.add(Chunk(request.index, item, 1, smile.END.join((*documents[2 * k : 2 * k + 2], b""))))
        at += count
    return (left if left.owners else None), why


def _count(counted: Ended, result: Mapping[str, Any], may_be_ours: bool) -> bool:
    """Whether the operation has ended; if so it is counted."""
    status: int = result["status"]
    if status == 201 or (status == 409 and may_be_ours):
        counted.created += 1
    elif status == 409:
        counted.existed += 1
    elif is_documents_fault(status, result["error"]):
        counted.refused += 1
        counted.detail = counted.detail or reason_of(result["error"])
    else:
        return False
    return True
