"""What the parts of the Elasticsearch store need of a server: one request, one answer; and what its refusals mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from telemetry.errors import Invalid, SensorlineError, StoreUnavailable

JSON = "application/vnd.elasticsearch+json; compatible-with=9"
SMILE = "application/vnd.elasticsearch+smile; compatible-with=9"
NDJSON = "application/vnd.elasticsearch+x-ndjson; compatible-with=9"

# A refusal of one document for what it holds; every other one is the cluster's state and may pass.
_DOCUMENT_ERRORS = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body as it came."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The decoded body; raises `StoreUnavailable` when it is not JSON (a proxy's error page)."""
        try:
            return orjson.loads(self.body)
        except ValueError as e:
            raise StoreUnavailable(f"Elasticsearch answered {self.status} with no JSON: {self.body[:200]!r}") from e


class Elastic(Protocol):
    """A connection to the cluster."""

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = JSON,
        wait_s: float | None = None,
    ) -> Answer:
        """Any answer of the server, also a refusal.

        Raises `StoreUnavailable` when there is none: then the request may or may not have been carried out.
        """
        ...


async def ask(
    elastic: Elastic, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing_ok: bool = False
) -> Any:
    """The decoded answer of a request that must succeed; None for a 404 where `missing_ok`.

    Raises `StoreUnavailable`, or `Invalid` when the question itself was refused.
    """
    answer = await elastic.request(method, path, None if body is None else orjson.dumps(body))
    if answer.status == 404 and missing_ok:
        return None
    if answer.status >= 300:
        raise refused(answer, f"{method} {path.partition('?')[0]}")
    return answer.json()


async def multi_get(elastic: Elastic, index: str, ids: Sequence[str]) -> list[dict[str, Any] | None]:
    """The documents of these ids in order, None where there is none; in real time, whatever a search sees.

    Raises `StoreUnavailable`.
    """
    if not ids:
        return []
    answer = await ask(elastic, "POST", f"/{index}/_mget", {"ids": list(ids)})
    for found in answer["docs"]:
        if "error" in found:
            raise StoreUnavailable(f"Elasticsearch cannot read {index}: {reason_of(found['error'])}")
    return [found["_source"] if found.get("found") else None for found in answer["docs"]]


def refused(answer: Answer, what: str) -> SensorlineError:
    """A whole request's refusal as our error."""
    detail = f"Elasticsearch refused {what} with {answer.status}: {answer.body[:500].decode(errors='replace')}"
    if answer.status in {401, 403} and b"cluster_block" not in answer.body:
        return StoreUnavailable(f"{detail}; check its api_key, or username and password, and what they may do")
    if answer.status == 400 and b"search_phase_execution_exception" in answer.body:
        return Invalid(detail)
    return StoreUnavailable(detail)


def is_documents_fault(status: int, error: Mapping[str, Any]) -> bool:
    """Whether a bulk item was refused for its own content, so that sending it again can never help.

    The shard limit is a 400 too (`validation_exception`), as a full disk is a 403 or a 429 (`cluster_block_exception`).
    """
    return status == 400 and error.get("type") in _DOCUMENT_ERRORS


def reason_of(error: Mapping[str, Any]) -> str:
    """A bulk item's error in one line, its cause included."""
    cause = error.get("caused_by") or {}
    text = f"{error.get('type')}: {error.get('reason')}"
    return (f"{text}; {cause.get('reason')}" if cause else text)[:500]
