"""Hits become anomalies: opened at once, told again when something changed, closed; however the rows were cut."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.clips import Tape, rows_before
from consumers.episode import Place, Scene
from consumers.episodes import Episodes, Rules, Turn
from consumers.timeline import Clock, Layout
from telemetry.anomaly import Anomaly, Severity, newest
from tests.consumers.loud import Loud

SECOND = 10**9
T0 = 1_763_800_000 * SECOND
RULES = Rules(5 * SECOND, 3, 3600 * SECOND, 5 * SECOND, 64)
SCENE = Scene("pi", "s1", "microphone", is_live=True)


class Stream:
    """One stream with the test's detector."""

    def __init__(self, rules: Rules = RULES, admitted: int = 1000) -> None:
        self.rules = rules
        self.layout = Layout(("dbfs",))
        self.episodes = Episodes(rules, self.layout)
        self.clock = Clock()
        self.tape = Tape(rows_before(rules.samples_rows_max) + 1, 2 * rules.samples_ns, self.layout.none())
        self.detector = Loud(("dbfs",))
        self.admitted = admitted
        self.offset = 0

    def give(self, t: Sequence[int], values: Sequence[float]) -> list[Anomaly]:
        """Rows at these nanoseconds after T0."""
        times, columns = T0 + np.array(t, np.int64), np.array(values, np.float64)[:, None]
        hits = self.detector.update(times, columns).hits
        block = self.layout.rows(self.clock, times, columns, self.rules.hold_ns, self.rules.jump_ns_max)
        place = self.place()
        said = self.episodes.advance(Turn(SCENE, place, block, self.tape, self._admit), [("loud", self.detector, hits)])
        self.tape.wind(block)
        self.offset += 1
        return said

    def seconds(self, begin: int, *values: float) -> list[Anomaly]:
        return self.give([k * SECOND for k in range(begin, begin + len(values))], values)

    def close(self) -> list[Anomaly]:
        return self.episodes.close(SCENE, self.place())

    def place(self) -> Place:
        return Place(T0 + self.offset, 0, self.offset)

    def _admit(self, start_ns: int) -> bool:
        self.admitted -= 1
        return self.admitted >= 0


def test_it_opens_at_the_first_hit_goes_on_and_closes_after_the_hold() -> None:
    stream = Stream()
    (opened,) = stream.seconds(0, 0, 2, 0)
    assert (opened.version, opened.is_open, opened.kind, opened.stream) == (1, True, "loud", "microphone")
    assert (opened.start_ns, opened.end_ns, opened.score) == (T0 + SECOND, T0 + SECOND, 2)
    assert opened.words == "loud: loudness 4.0x its usual for this device at 08:26:41"
    assert stream.seconds(3, 1.5, 0) == [], "a little longer, no worse: no news yet"
    (worse,) = stream.seconds(5, 4.5)
    assert (worse.id, worse.version, worse.score, worse.peak_ns) == (opened.id, 2, 4.5, T0 + 5 * SECOND)
    assert worse.evidence[0].seen == 4.5
    assert [a.version for a in stream.seconds(6, 0, 0, 0, 0)] == [3], "its raw rows are complete"
    assert stream.seconds(10, 0) == []
    (closed,) = stream.seconds(11, 0)
    assert (closed.version, closed.is_open, closed.end_ns) == (4, False, T0 + 5 * SECOND)
    (another,) = stream.seconds(12, 2)
    assert another.id != opened.id


def test_one_that_is_over_within_its_batch_is_told_once_and_closed() -> None:
    (only,) = Stream().seconds(0, 0, 2, *[0] * 9)
    assert (only.version, only.is_open, len(only.samples.t)) == (1, False, 7)


def test_it_becomes_more_severe() -> None:
    stream = Stream()
    assert [a.severity for a in stream.seconds(0, 3)] == [Severity.WARNING]
    assert [a.severity for a in stream.seconds(1, 5)] == [Severity.CRITICAL]


def test_what_lasts_is_told_ever_more_rarely() -> None:
    stream = Stream()
    said = [a for k in range(1000) for a in stream.seconds(k, 2)]
    assert len(said) < 20
    assert [a.version for a in said] == list(range(1, len(said) + 1))
    assert said[-1].end_ns > T0 + 600 * SECOND


def test_a_stream_of_a_row_an_hour_has_patience() -> None:
    stream = Stream()
    hour = 3600 * SECOND
    (opened,) = stream.give([0, hour], [0, 2])
    said = stream.give([2 * hour, 3 * hour], [0, 0]) + stream.give([4 * hour], [3])
    said += stream.give([k * hour for k in range(5, 8)], [0, 0, 0])
    assert {a.id for a in said} == {opened.id}
    assert [a.is_open for a in said] == [True, True, False], "complete, longer, over"


def test_one_that_lasts_too_long_is_closed_and_the_next_opens() -> None:
    stream = Stream()
    said = newest([a for k in range(0, 8000, 100) for a in stream.seconds(k, *[2] * 100)] + stream.close())
    assert [(a.start_ns - T0) // SECOND for a in said] == [0, 3601, 7202]
    assert not any(a.is_open for a in said)


def test_a_clock_that_steps_back_closes_what_is_open_and_silences_nothing() -> None:
    stream = Stream()
    (opened,) = stream.seconds(1000, 2)
    said = stream.give([-3 * 86_400 * SECOND + k * SECOND for k in range(3)], [0, 2, 0])
    assert [(a.id == opened.id, a.is_open) for a in said] == [(True, False), (False, True)]
    assert said[1].start_ns == T0 + (1 - 3 * 86_400) * SECOND


def test_the_same_time_shown_again_by_a_clock_set_back_is_another_anomaly() -> None:
    stream = Stream()
    ids = {a.id for _ in range(3) for a in stream.seconds(0, 0, 2, *[0] * 60)}
    assert len(ids) == 3


def test_times_that_all_are_one_are_no_storm() -> None:
    stream = Stream()
    said = stream.give([0] * 500, [2] * 500) + stream.give([0] * 500, [2, 0] * 250)
    assert len({a.id for a in said}) == 1


def test_one_that_is_refused_lives_in_silence() -> None:
    stream = Stream(admitted=1)
    said = stream.seconds(0, 2, *[0] * 20) + stream.seconds(21, 2, 3, *[0] * 20) + stream.seconds(43, 9)
    assert len({a.id for a in said}) == 1
    assert stream.admitted == -2, "three wanted to open, and one of them was still the same after two hits"


def test_raw_rows_from_before_the_start_to_after_it() -> None:
    stream = Stream()
    t = [k * SECOND // 2 for k in range(60)]
    values = [0.1] * 60
    values[30] = 2
    said = [a for k in range(0, 60, 7) for a in stream.give(t[k : k + 7], values[k : k + 7])]
    assert [(x - T0) * 2 // SECOND for x in said[-1].samples.t] == list(range(20, 41))
    assert said[-1].samples.values["dbfs"][9:12] == (0.1, 2, 0.1), "the shortest numbers, not 0.10000000149011612"
    assert not said[-1].samples.is_truncated
    assert len(said[0].samples.t) == 15, "the opening record has what is there"


def test_too_many_raw_rows_are_cut_and_it_is_said() -> None:
    stream = Stream()
    t = [k * SECOND // 100 for k in range(3000)]
    values = [0.0] * 3000
    values[1000] = 2
    (only,) = newest(stream.give(t, values))
    assert (len(only.samples.t), only.samples.is_truncated) == (64, True)
    assert T0 + t[1000] in only.samples.t


def test_many_at_once_share_a_bounded_room_for_raw_rows() -> None:
    rules = Rules(5000 * SECOND, 3, 36_000 * SECOND, 5 * SECOND, 64)
    stream = Stream(rules)
    for k in range(0, 5000, 100):
        stream.seconds(k, 2, -2, *[0.1] * 98)
    held = sum(len(e.clip.rows) for e in stream.episodes.open.values() if e.clip is not None)
    assert held <= 4 * 64


def test_numbers_that_are_none_do_not_reach_a_record() -> None:
    (opened,) = Stream().seconds(0, np.inf)
    assert opened.score == opened.evidence[0].seen == 1e300
    assert opened.samples.values == {}


ROWS = st.lists(
    st.tuples(st.sampled_from([0, 1, 1, 1, 1, 2, 7, 4000, -1, -3, -90_000]), st.sampled_from([0, 0, 0, 0, 1, 3, -2])),
    min_size=1,
    max_size=120,
)


@given(ROWS, st.lists(st.integers(1, 119), max_size=6))
def test_where_the_rows_were_cut_changes_nothing(rows: list[tuple[int, float]], cuts: list[int]) -> None:
    t = np.cumsum([step * SECOND for step, _ in rows]).tolist()
    values = [value for _, value in rows]
    whole, cut = Stream(), Stream()
    bounds = sorted({0, *(c for c in cuts if c < len(rows)), len(rows)})
    at_once = whole.give(t, values) + whole.close()
    said = [a for b, e in pairwise(bounds) for a in cut.give(t[b:e], values[b:e])]
    said += cut.close()
    assert facts(at_once) == facts(said)
    assert all(a.is_open is False for a in newest(said))
    versions: dict[str, int] = {}
    for a in said:
        assert a.version == versions.get(a.id, 0) + 1
        versions[a.id] = a.version


def facts(said: list[Anomaly]) -> dict[str, tuple[object, ...]]:
    """What is finally known of each, but for where in the log it was said."""
    return {
        a.id: (a.kind, a.start_ns, a.end_ns, a.score, a.peak_ns, a.words, a.evidence, a.samples) for a in newest(said)
    }


@pytest.mark.parametrize("n", [0, 1])
def test_no_rows_and_one_row(n: int) -> None:
    stream = Stream()
    assert stream.give(list(range(n)), [0.0] * n) == []
