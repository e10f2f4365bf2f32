"""The spool against a model: whatever is done to it, every reading has one end, and no id ever has two contents."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.batcher import Cut, CutLimits
from edge.retry import Free, SetAside, decide
from edge.spool import Spool
from edge.spooled import Lane, Spooled
from edge.transports import Answer
from telemetry import wire
from telemetry.batch import BatchId
from telemetry.clock import ManualClock
from tests.edge.spool.world import EPOCH, KIB, LATER, cut, dropped, killed, let_go, numbers, opened

T = TypeVar("T")
LIMIT = 112 * KIB  # of which an empty file takes 28
SLACK = 24 * KIB  # one batch, and what must be written to say that something was dropped
LIMITS = CutLimits(4_000)
ANSWERS = (Answer(200), Answer(None), Answer(503), Answer(422, code="invalid"), Answer(401), Answer(409))


class Machine(RuleBasedStateMachine):
    """Cuts are numbered and each reading carries its cut's number, so that every one can be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.root = Path(tempfile.mkdtemp(prefix="spool-"))
        self.folders = (self.root / str(n) for n in itertools.count())
        self.folder = next(self.folders)
        self.clock = ManualClock()
        self.random = Random(1)
        self.put_readings: dict[int, int] = {}  # by cut
        self.drafts: set[int] = set()
        self.bytes_of: dict[BatchId, bytes] = {}  # all that was ever offered
        self.ended: dict[BatchId, str] = {}
        self.sessions: set[str] = set()
        self.cursor: str | None = None
        self.lost = 0  # gathered and not committed when the process was killed
        self.space = 2**40
        self.retried = False

    @initialize(
        on_full=st.sampled_from(("block", "drop_oldest", "drop_newest")), aside=st.sampled_from((0, 9_000, 10**6))
    )
    def start(self, on_full: str, aside: int) -> None:
        self.changes = {
            "size_bytes_max": LIMIT,
            "on_full": on_full,
            "commit_bytes_max": 24 * KIB,
            "aside_bytes_max": aside,
            "disk_free_bytes_min": 100 * KIB,
        }
        self.open()

    def open(self) -> None:
        self.spool: Spool = self.do(
            opened(self.folder, self.changes, clock=self.clock, limits=LIMITS, free_bytes=lambda _folder: self.space)
        )
        assert self.spool.session not in self.sessions
        self.sessions.add(self.spool.session)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def try_(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Do it unless it has to wait."""

        async def trying() -> bool:
            task = asyncio.ensure_future(work)
            for _ in range(20):
                await asyncio.sleep(0)
            if not task.done():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                task.result()
            return not task.cancelled()

        return self.do(trying())

    # what is done to it

    @rule(sizes=st.lists(st.integers(1, 160), min_size=1, max_size=4), draft=st.booleans(), cursor=st.booleans())
    def put(self, sizes: list[int], draft: bool, cursor: bool) -> None:
        first = len(self.put_readings)
        cuts: list[Cut] = [cut(first + i, size) for i, size in enumerate(sizes)]
        given = {"source": str(first)} if cursor else {}
        if self.try_(self.spool.put(cuts, epoch=EPOCH, cursors=given, draft=draft)):
            self.put_readings |= {first + i: size for i, size in enumerate(sizes)}
            self.drafts |= set(range(first, len(self.put_readings))) if draft else set()
            self.cursor = str(first) if cursor else self.cursor

    @rule()
    def commit(self) -> None:
        if self.try_(self.spool.commit()):
            assert not self.spool._pending.units
            assert self.spool.cursor("source") == self.cursor
        else:
            assert self.changes["on_full"] == "block"
            assert self.spool.depth().is_full

    @rule(lane=st.sampled_from(Lane), answer=st.sampled_from(ANSWERS))
    def send(self, lane: Lane, answer: Answer) -> None:
        head = self.offered(lane)
        if head is None:
            return
        match decide(0, answer, self.random):
            case Free():
                self.do(self.spool.free(head.id))
                self.ended[head.id] = "freed"
            case SetAside(reason):
                self.do(self.spool.set_aside(head.id, reason))
                self.ended[head.id] = "aside"
            case _:
                assert self.offered(lane) == head

    @rule(shift_ns=st.integers(-(10**12), 10**12))
    def settle(self, shift_ns: int) -> None:
        self.try_(self.spool.settle(shift_ns, LATER))

    @rule()
    def rotate(self) -> None:
        self.do(self.spool.rotate(LATER))
        assert self.spool.session not in self.sessions
        self.sessions.add(self.spool.session)

    @rule()
    def retry_aside(self) -> None:
        self.do(self.spool.retry_aside())
        self.retried = True

    @rule(space=st.sampled_from((0, 100 * KIB, 2**40)))
    def disk(self, space: int) -> None:
        self.space = space

    @rule()
    def kill(self) -> None:
        pending = self.spool._pending
        self.lost += pending.readings + sum(pending.dropped.values())
        self.cursor = self.spool.cursor("source")
        waiting = {unit.cursors["source"] for unit in pending.units if unit.cursors}
        assert self.cursor not in waiting, "a cursor is ahead of its readings"
        self.folder = killed(self.spool, self.folder, next(self.folders))
        self.open()
        assert self.spool.cursor("source") == self.cursor

    @rule()
    def stop_and_start(self) -> None:
        self.do(self.spool.close())
        pending = self.spool._pending
        self.lost += pending.readings + sum(pending.dropped.values())
        self.cursor = self.spool.cursor("source")
        self.open()

    # what holds

    def offered(self, lane: Lane) -> Spooled | None:
        head = self.do(self.spool.head(lane))
        if head is not None:
            assert (head.id.session == self.spool.session) == (lane is Lane.LIVE)
            assert self.bytes_of.setdefault(head.id, head.body) == head.body, "an id has two contents"
            batch = wire.decode(head.body)
            assert batch.id == head.id
            assert batch.readings == head.readings
            if batch.dropped is None:
                assert wire.encode(batch) == head.body
        return head

    @invariant()
    @precondition(lambda self: hasattr(self, "spool"))
    def stays_within_its_limits(self) -> None:
        assert self.spool.depth().size_bytes <= LIMIT + SLACK + (
            10**6 if self.changes["aside_bytes_max"] > 10**5 else 9_000
        )
        assert self.spool._pending.size_bytes <= 2 * 24 * KIB + 4 * 15 * KIB
        state = self.spool._committer.state
        file = self.spool._keeper._good.file
        assert file is not None
        count = "SELECT count(*), coalesce(sum(CASE WHEN kind = 0 THEN readings END), 0) FROM "
        ((batches, readings),) = file.db.execute(count + "batches").fetchall()
        assert batches == sum(s.batches for s in state.sessions.values())
        assert readings == sum(s.readings for s in state.sessions.values())
        assert file.db.execute(count + "drafts").fetchall() == [(state.drafts, state.draft_readings)]
        aside = file.db.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM aside").fetchall()
        assert aside == [(state.aside_batches, state.aside_bytes)]
        assert not self.spool.depth().reports

    def teardown(self) -> None:
        try:
            if hasattr(self, "spool"):
                self.space = 2**40
                self.check_every_end()
        finally:
            if hasattr(self, "spool"):
                let_go(self.spool)
            self.loop.close()
            shutil.rmtree(self.root)

    def drained(self) -> list[Spooled]:
        """Everything that is there, once."""
        out: dict[BatchId, Spooled] = {}
        for _ in range(1_000):
            for lane in Lane:
                while (head := self.offered(lane)) is not None:
                    out[head.id] = head
                    self.do(self.spool.free(head.id))
            if self.try_(self.spool.settle(0, LATER)) and self.try_(self.spool.commit()):
                depth = self.spool.depth()
                if not depth.batches:
                    return list(out.values())
        raise AssertionError(f"it does not drain: {self.spool.depth()}")

    def check_every_end(self) -> None:
        aside_now = self.spool.depth().aside_batches
        rest = self.drained()
        depth = self.spool.depth()
        assert (depth.batches, depth.readings, depth.live_batches) == (0, 0, 0)
        in_aside = {refused.id for refused in self.do(self.spool.aside(10_000))}
        assert bool(in_aside) <= bool(aside_now)
        seen: dict[int, int] = {}
        ended = {b.id for b in rest} | {i for i, end in self.ended.items() if end == "freed"} | in_aside
        announced: dict[str, int] = {}
        for id_ in ended:
            spooled = Spooled(id_, self.bytes_of[id_], 0, 0, EPOCH)
            gone = dropped(spooled)
            if gone is not None:
                announced[gone.reason] = announced.get(gone.reason, 0) + gone.readings
            for number, readings in numbers(spooled).items():
                seen[number] = seen.get(number, 0) + readings
        assert all(readings <= self.put_readings[number] for number, readings in seen.items()), "kept twice"
        missing = sum(self.put_readings.values()) - sum(seen.values())
        assert missing == sum(depth.dropped.values()) + self.lost, (missing, depth.dropped, self.lost)
        self.check_order(rest)
        policy = str(self.changes["on_full"])
        assert announced.get(policy, 0) <= depth.dropped.get(policy, 0)
        if "aside" not in self.ended.values():
            assert announced.get(policy, 0) == depth.dropped.get(policy, 0)

    def check_order(self, rest: list[Spooled]) -> None:
        """In each session, seq rises with the cuts' numbers."""
        by_session: dict[str, list[tuple[int, int]]] = {}
        for id_, body in self.bytes_of.items():
            for number in numbers(Spooled(id_, body, 0, 0, EPOCH)):
                by_session.setdefault(id_.session, []).append((id_.seq, number))
        for pairs, are_drafts in itertools.product(by_session.values(), (False, True)):
            in_order = [number for _, number in sorted(pairs) if (number in self.drafts) == are_drafts]
            assert in_order == sorted(in_order)
        places = [(b.id.session, b.id.seq) for b in rest]
        assert len(places) == len(set(places))


TestSpool = Machine.TestCase
TestSpool.settings = hypothesis_settings(
    max_examples=25, stateful_step_count=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
