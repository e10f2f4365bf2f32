"""Messages that nobody numbered, in any order and any number of times: counted once, nothing missing, nothing held."""

from collections.abc import Sequence

import msgspec
import orjson
from hypothesis import given
from hypothesis import strategies as st

from consumers import completeness
from consumers.checkpoints import thaw
from consumers.completeness import LATE_SEQS, UNNUMBERED_MAX
from consumers.detect import DetectOperators
from consumers.devices import Maker
from consumers.operator import Lane
from consumers.ordering import Bounds, DeviceOrder, Ordering, Turn, Waiting
from telemetry.anomaly import Anomaly, newest
from telemetry.batch import Batch, Series
from telemetry.dialects import owntracks
from telemetry.ports import BATCHES, Entry, Sender, Session
from telemetry.records import BatchHeaders, batch_record
from telemetry.settings import Detect
from telemetry.stores._sessions import flat, session_of
from telemetry.unnumbered import batch_of
from tests.telemetry.batches import unhurried

S = 10**9
T0_S = 1_763_800_000
PERIOD_S = 5
BOUNDS = Bounds()


def light(second: int, lux: float = 1.0) -> Batch:
    return batch_of("d", "senml", [Series.of("light", [(T0_S + second) * S], {"illuminance": [lux]})])


def headers(batch: Batch, received_s: float = 0.0) -> BatchHeaders:
    return BatchHeaders.of(entry(batch, 0, received_s))


def entry(batch: Batch, offset: int, received_s: float) -> Entry:
    received_ns = round((T0_S + received_s) * S)
    record = batch_record(batch, received_ns=received_ns, dialect="owntracks")
    return Entry(BATCHES.name, 0, offset, batch.device, record.value, record.headers, received_ns, batch=batch)


def ledger(batches: Sequence[Batch]) -> Session:
    state: Session | None = None
    for offset, batch in enumerate(batches):
        state = completeness.apply(state, headers(batch), 0, offset)
    assert state is not None
    return state


# a message: its second and its light; drawn twice it is the same message
messages = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1.0, 2.0])), min_size=1, max_size=120)


@unhurried
@given(messages)
def test_the_ledger_counts_each_once_and_misses_nothing(sent: list[tuple[int, float]]) -> None:
    state = ledger([light(*message) for message in sent])
    first = list(dict.fromkeys(sent))
    assert (state.received_batches, state.duplicate_batches) == (len(first), len(sent) - len(first))
    assert (state.missing_batches, state.missing, state.is_numbered) == (0, [], False)
    behind = [sum(later > second for later, _ in first[:k]) for k, (second, _) in enumerate(first)]
    assert state.reordered_batches == sum(n > 0 for n in behind)
    assert state.late_batches == sum(n > LATE_SEQS for n in behind)
    assert session_of(flat(state)) == state, "no store's schema has to know"


def test_the_ledger_remembers_the_latest_and_no_more() -> None:
    state = ledger([light(k) for k in range(UNNUMBERED_MAX + 50)])
    assert len(state.seqs) == UNNUMBERED_MAX
    assert (state.received_batches, state.missing_batches) == (UNNUMBERED_MAX + 50, 0)
    again = completeness.apply(state, headers(light(UNNUMBERED_MAX)), 0, 10**6)
    assert (again.received_batches, again.duplicate_batches) == (UNNUMBERED_MAX + 50, 1)


def test_a_numbered_session_is_as_it_was() -> None:
    numbered = [Batch("d", "s", seq, light(seq).series) for seq in (3, 4, 9)]
    state = ledger(numbered)
    assert (state.is_numbered, state.missing, state.missing_batches) == (True, [(5, 8)], 4)


def waiting(batch: Batch, offset: int, received_s: float) -> Waiting:
    h = headers(batch, received_s)
    return Waiting(h.id.session, h.id.seq, offset, h.received_ns, h.received_ns, h.newest_ns, None, {}, b"v")


def turns(ordering: Ordering, *batches: tuple[Batch, float]) -> list[tuple[int, Lane]]:
    """(second, lane) of those that had their turn; at a receive time each."""
    said = []
    for offset, (batch, received_s) in enumerate(batches):
        for step in ordering.take(waiting(batch, offset, received_s)) or []:
            assert isinstance(step, Turn)
            assert step.waiting.newest_ns is not None
            said.append((step.waiting.newest_ns // S - T0_S, step.lane))
    return said


@unhurried
@given(messages, st.integers(100, 5_000))
def test_each_has_its_turn_once_and_at_once(sent: list[tuple[int, float]], received_s: int) -> None:
    ordering = Ordering(BOUNDS)
    said = turns(ordering, *((light(*message), received_s) for message in sent))
    first = list(dict.fromkeys(sent))
    assert [second for second, _ in said] == [second for second, _ in first], "nobody waits"
    assert not any(session.waiting for session in ordering.state.sessions.values())
    for k, (second, lane) in enumerate(said):
        is_behind = any(earlier > second for earlier, _ in said[:k])
        assert (lane is Lane.LATE) == is_behind, "what was passed is not gone back to"
    frozen = msgspec.msgpack.encode(ordering.state)
    assert msgspec.msgpack.decode(frozen, type=DeviceOrder) == ordering.state


def test_what_was_forgotten_is_late_and_so_judged_by_nobody() -> None:
    ordering = Ordering(BOUNDS)
    many = [(light(k), k + 1.0) for k in range(BOUNDS.unnumbered_max + 20)]
    assert {lane for _, lane in turns(ordering, *many)} == {Lane.LIVE}
    assert turns(ordering, (light(3), 10_000.0)) == [(3, Lane.LATE)]
    (session,) = ordering.state.sessions.values()
    assert len(session.seen) == BOUNDS.unnumbered_max


def test_a_clock_that_was_set_back_does_not_silence_what_follows() -> None:
    ordering = Ordering(BOUNDS)
    said = turns(ordering, (light(3_600), 1.0), (light(30), 31.0), (light(60), 61.0), (light(3_590), 62.0))
    assert said == [(3_600, Lane.LIVE), (30, Lane.LIVE), (60, Lane.LIVE), (3_590, Lane.LIVE)]


def test_yesterdays_come_as_a_backlog() -> None:
    ordering = Ordering(BOUNDS)
    day_s = 86_400
    said = turns(ordering, (light(day_s), day_s + 1.0), (light(0), day_s + 2.0), (light(day_s + 9), day_s + 10.0))
    assert said == [(day_s, Lane.LIVE), (0, Lane.BACKLOG), (day_s + 9, Lane.LIVE)]


# --- judged in time: a phone that jumps, its messages doubled and some of them again much later

JUMP_AT = 40


def fix(k: int) -> Batch:
    """Message k of a walk, one every five seconds; the 40th to 44th position is 20 km off."""
    latitude = 52.5 + 0.0003 * k + (0.18 if JUMP_AT <= k < JUMP_AT + 5 else 0.0)
    body = {
        "_type": "location",
        "tst": T0_S + PERIOD_S * k,
        "lat": latitude,
        "lon": 13.4,
        "acc": 8,
        "vel": 4,
        "batt": 80,
    }
    (batch,) = owntracks.parse(orjson.dumps(body), Sender("phone"), readings_max=100).batches
    return batch


def judged(sent: Sequence[int]) -> list[Anomaly]:
    """All that detection says of these messages, in this order; each comes a second after it was made, or at once."""
    maker = Maker("detect", DetectOperators(Detect()), BOUNDS)
    device = maker.fresh(0, "phone")
    said: list[Anomaly] = []
    now_s = 0.0
    for offset, k in enumerate(sent):
        now_s = max(now_s, PERIOD_S * k + 1.0)
        one = entry(fix(k), offset, now_s)
        said += device.take(BatchHeaders.of(one), one, round((T0_S + now_s) * S))
        if offset == len(sent) // 2:  # a checkpoint in the middle changes nothing
            device = maker.thawed(thaw(device.kept(offset + 1).value), 0)
    return said


def test_a_jump_is_judged_when_it_comes_whatever_else_is_sent_again() -> None:
    plain = judged(range(80))
    disturbed = [k for j in range(80) for k in (j, j, max(0, j - 7))]
    again = judged(disturbed)
    jumps = [a for a in newest(plain) if a.kind in ("gps_jump", "impossible_speed")]
    assert jumps, [a.kind for a in newest(plain)]
    first = next(a for a in plain if a.id == jumps[0].id)
    assert first.updated_ns <= (T0_S + PERIOD_S * (JUMP_AT + 1) + 1) * S, "with the next position at the latest"
    assert [(a.id, a.kind, a.start_ns, a.end_ns) for a in newest(again)] == [
        (a.id, a.kind, a.start_ns, a.end_ns) for a in newest(plain)
    ]
