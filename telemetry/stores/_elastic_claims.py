"""Claims: one document a batch, written before its rows and marked as done after them.

The first claim of a (device, session, seq) stays.  One that is not done belongs to a write that broke off (or that
still runs): its rows are written again, under the first claim's receive time.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telemetry.batch import BatchId
from telemetry.clock import Clock
from telemetry.errors import StoreUnavailable
from telemetry.ports import Claim, Detail, Item
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._days import oldest_kept_ns
from telemetry.stores._elastic_bulk import Retry, send
from telemetry.stores._elastic_http import Elastic, multi_get
from telemetry.stores._elastic_names import Names, from_iso, iso


@dataclass(frozen=True, slots=True)
class Held:
    """A claim as it stands in the store; `is_done` when its rows are all there."""

    claim: Claim
    document: Mapping[str, Any]

    @property
    def is_done(self) -> bool:
        """Whether a write of its rows has ended."""
        return bool(self.document["done"])


def claim_key(id_: BatchId) -> str:
    """The `_id` of a batch's claim: 144 bits of BLAKE2b of its identity (names have no slash)."""
    identity = f"{id_.device}/{id_.session}/{id_.seq}".encode()
    return base64.urlsafe_b64encode(hashlib.blake2b(identity, digest_size=18).digest()).decode()


def document_of(item: Item, retention_days: int, detail: Detail = "samples") -> dict[str, Any]:
    """What a claim says: whose it is, what of it is kept, and where in the log it lay."""
    batch = item.batch
    oldest_ns = oldest_kept_ns(item.received_ns, retention_days)
    kept = [(s.sensor, t) for s in batch.series if len(t := s.t[s.t >= oldest_ns])]
    stored = sum(len(t) for _, t in kept)
    document = {
        "device": batch.device,
        "session": batch.session,
        "seq": batch.seq,
        "hash": item.content_hash,
        "received": iso(item.received_ns),
        "readings": batch.readings,
        "expired": batch.readings - stored,
        "summarised": stored if detail == "windows" else 0,
        "partition": item.partition,
        "offset": item.offset,
        "done": False,
    }
    if kept:
        document["sensors"] = sorted({sensor for sensor, _ in kept})
        document["first"] = iso(min(int(t.min()) for _, t in kept))
        document["last"] = iso(max(int(t.max()) for _, t in kept))
    return document


def claim_of(document: Mapping[str, Any]) -> Claim:
    """A claim read back."""
    return Claim(
        BatchId(document["device"], document["session"], document["seq"]),
        document["hash"],
        from_iso(document["received"]),
        document["readings"],
        document["expired"],
        document.get("summarised", 0),  # claims of before there were windows lack it
    )


async def take(
    elastic: Elastic,
    names: Names,
    items: Sequence[Item],
    *,
    retention_days: int,
    detail: Detail,
    retry: Retry,
    clock: Clock,
) -> dict[BatchId, Held]:
    """Claim every batch of the items, the first of an id before later ones; what is held now, by id."""
    firsts: dict[BatchId, Item] = {}
    for item in items:
        firsts.setdefault(item.batch.id, item)
    documents = {id_: document_of(item, retention_days, detail) for id_, item in firsts.items()}
    body = b"".join(_operation("create", id_, document) for id_, document in documents.items())
    results = await send(elastic, names.claims, body, retry=retry, clock=clock)
    made = [result["status"] == 201 for result in results]
    held = {id_: Held(claim_of(doc), doc) for (id_, doc), is_new in zip(documents.items(), made, strict=True) if is_new}
    taken = [id_ for id_ in documents if id_ not in held]
    return held | await _fetch(elastic, names, taken)


async def mark_done(elastic: Elastic, names: Names, held: Sequence[Held], *, retry: Retry, clock: Clock) -> None:
    """Say that all rows of these claims are there, so that a resend need not write them again."""
    if held:
        body = b"".join(_operation("index", h.claim.id, {**h.document, "done": True}) for h in held)
        await send(elastic, names.claims, body, retry=retry, clock=clock)


def _operation(operation: str, id_: BatchId, document: dict[str, Any]) -> bytes:
    return smile.document({operation: {"_id": claim_key(id_)}}) + smile.document(document)


async def _fetch(elastic: Elastic, names: Names, ids: Sequence[BatchId]) -> dict[BatchId, Held]:
    """Claims that were there already, in real time."""
    found = await multi_get(elastic, names.claims, [claim_key(id_) for id_ in ids])
    held: dict[BatchId, Held] = {}
    for id_, document in zip(ids, found, strict=True):
        if document is None:
            raise StoreUnavailable(f"the claim of {id_} went away meanwhile: write again")
        held[id_] = Held(claim_of(document), document)
    return held
