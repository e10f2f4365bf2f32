"""Which refusals are the document's and which the cluster's, and that only what failed is sent again."""

from typing import Any

import orjson
import pytest

from telemetry.clock import ManualClock
from telemetry.errors import Invalid, StoreUnavailable
from telemetry.stores import _elastic_smile as smile
from telemetry.stores._elastic_bulk import Ended, Retry, create_rows
from telemetry.stores._elastic_http import JSON, Answer, is_documents_fault, refused
from telemetry.stores._elastic_rows import Chunk


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "document_parsing_exception", True),
        (400, "strict_dynamic_mapping_exception", True),
        (400, "illegal_argument_exception", True),
        (400, "validation_exception", False),  # the shard limit
        (400, "something_new", False),
        (403, "cluster_block_exception", False),
        (429, "cluster_block_exception", False),
        (429, "es_rejected_execution_exception", False),
        (404, "index_not_found_exception", False),
        (503, "unavailable_shards_exception", False),
    ],
)
def test_only_the_documents_own_faults_are_its_own(status: int, kind: str, expected: bool) -> None:
    assert is_documents_fault(status, {"type": kind}) is expected


def test_a_refusal_says_what_to_look_at() -> None:
    assert "api_key" in refused(Answer(401, b"{}"), "x").message
    assert "api_key" not in refused(Answer(403, b"cluster_block_exception"), "x").message
    assert isinstance(refused(Answer(400, b"search_phase_execution_exception"), "x"), Invalid)


class Server:
    """Answers bulk requests from a script: a status an operation, or an error for the whole request."""

    def __init__(self, *script: list[int] | StoreUnavailable) -> None:
        self.script = list(script)
        self.bodies: list[list[bytes]] = []

    async def request(self, method: str, path: str, body: bytes | None = None, *, content_type: str = JSON) -> Answer:
        assert body is not None
        self.bodies.append(body.split(smile.END)[:-1])
        step = self.script.pop(0)
        if isinstance(step, StoreUnavailable):
            raise step
        items = [
            {"create": {"status": s} | ({"error": {"type": _type(s), "reason": "why"}} if s > 201 else {})}
            for s in step
        ]
        return Answer(200, orjson.dumps({"errors": max(step) > 201, "items": items}))


def _type(status: int) -> str:
    return "document_parsing_exception" if status == 400 else "other"


class Impatient(ManualClock):
    """Waits for nothing and remembers how long it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float] = []

    async def sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)


def chunk(item: int, *names: bytes) -> Chunk:
    return Chunk("readings-x", item, len(names), b"".join(b"a" + n + smile.END + b"d" + n + smile.END for n in names))


async def run(server: Any, *chunks: Chunk, attempts_max: int = 3, bytes_max: int = 10**6) -> dict[int, Ended]:
    retry = Retry(attempts_max, 0.1)
    return await create_rows(server, iter(chunks), bytes_max=bytes_max, retry=retry, clock=Impatient())


async def test_only_what_failed_is_sent_again() -> None:
    server = Server([201, 429, 409, 503, 400], [201, 429], [201])
    ended = await run(server, chunk(7, b"0", b"1"), chunk(9, b"2", b"3", b"4"))
    assert server.bodies[1:] == [[b"a1", b"d1", b"a3", b"d3"], [b"a3", b"d3"]]
    assert (ended[7].created, ended[7].existed, ended[7].refused) == (2, 0, 0)
    assert (ended[9].created, ended[9].existed, ended[9].refused) == (1, 1, 1)
    assert ended[9].detail == "document_parsing_exception: why"


async def test_what_is_there_after_a_lost_answer_counts_as_created() -> None:
    server = Server(StoreUnavailable("lost"), [409, 201, 429], [409])
    ended = await run(server, chunk(0, b"0", b"1", b"2"))
    assert ended[0] == Ended(created=3)


async def test_attempts_are_bounded_and_the_reason_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="other: why"):
        await run(Server([429], [429], [429]), chunk(0, b"0"))
    with pytest.raises(StoreUnavailable, match="lost"):
        await run(Server(*[StoreUnavailable("lost")] * 3), chunk(0, b"0"))


async def test_requests_are_bounded_in_bytes() -> None:
    server = Server([201, 201], [201])
    ended = await run(server, chunk(0, b"0"), chunk(1, b"1"), chunk(2, b"2"), bytes_max=12)
    assert [len(body) for body in server.bodies] == [4, 2]
    assert [ended[k].created for k in range(3)] == [1, 1, 1]


async def test_an_answer_that_does_not_fit_is_not_believed() -> None:
    with pytest.raises(StoreUnavailable, match="1 of 2"):
        await run(Server([429]), chunk(0, b"0", b"1"), attempts_max=1)
