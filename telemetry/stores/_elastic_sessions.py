"""The ledger's sessions as documents, versioned by the log offset they cover: an older write never wins."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from telemetry.clock import Clock
from telemetry.ports import Session
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._elastic_bulk import Retry, send
from telemetry.stores._elastic_http import Elastic, ask, multi_get
from telemetry.stores._elastic_names import Names, from_iso, iso
from telemetry.stores._sessions import flat
from telemetry.stores._sessions import session_of as of_columns

TIMES = {"first_received_ns": "first_received", "last_received_ns": "last_received"}
SESSIONS_LISTED_MAX = 10_000


def session_key(device: str, session: str) -> str:
    """The `_id` of a session's document."""
    return base64.urlsafe_b64encode(hashlib.blake2b(f"{device}/{session}".encode(), digest_size=18).digest()).decode()


def document_of(session: Session) -> dict[str, Any]:
    """A session as people see it in Kibana, with what is made from its columns."""
    document = flat(session)
    for name, stored in TIMES.items():
        document[stored] = iso(document.pop(name))
    return document | {"missing_batches": session.missing_batches, "clock_is_skewed": session.clock.is_skewed}


def session_of(document: Mapping[str, Any]) -> Session:
    """A session read back."""
    return of_columns({**document, **{name: from_iso(document[stored]) for name, stored in TIMES.items()}})


async def put(elastic: Elastic, names: Names, sessions: Sequence[Session], *, retry: Retry, clock: Clock) -> None:
    """Keep them; a 409 says that what is there is newer, which is what was asked for."""
    if not sessions:
        return
    parts: list[bytes] = []
    for session in sessions:
        version = {"version": session.next_offset, "version_type": "external_gte"}
        key = session_key(session.device, session.session)
        parts += [smile.document({"index": {"_id": key, **version}}), smile.document(document_of(session))]
    await send(elastic, names.sessions, b"".join(parts), retry=retry, clock=clock)


async def get(elastic: Elastic, names: Names, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Session]:
    """In real time: also what no refresh has made visible to a search."""
    found = await multi_get(elastic, names.sessions, [session_key(*key) for key in keys])
    return {key: session_of(document) for key, document in zip(keys, found, strict=True) if document is not None}


async def listed(elastic: Elastic, names: Names, device: str | None, session: str | None) -> list[Session]:
    """Those that a search sees, newest first."""
    asked = [{"term": {name: value}} for name, value in (("device", device), ("session", session)) if value is not None]
    query = {
        "size": SESSIONS_LISTED_MAX,
        "query": {"bool": {"filter": asked}},
        "sort": [{"last_received": "desc"}, "device", "session"],
    }
    answer = await ask(elastic, "POST", f"/{names.sessions}/_search", query)
    return [session_of(hit["_source"]) for hit in answer["hits"]["hits"]]
