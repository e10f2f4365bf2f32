"""What waits for a slow reader is bounded, what matters least gives way first, and the reader is told of it."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.events import ANOMALY, PULSE, READINGS, Event, Told
from gateway.live.outbox import Outbox

SIZE = 400


def told(name: str, n: int) -> Told:
    return Told(Event(name, b'{"n":%d}' % n), f"id{n}")


def heard(frames: bytes) -> list[tuple[str, str, dict[str, int]]]:
    found = []
    for block in frames.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], fields["id"], orjson.loads(fields["data"])))
    return found


def test_events_come_in_order_whole_and_about_as_many_as_asked_for() -> None:
    box = Outbox(10_000)
    for n in range(4):
        box.put(told(PULSE, n))
    assert [e[1] for e in heard(box.take(1))] == ["id0"]
    assert [e[1] for e in heard(box.take(10_000))] == ["id1", "id2", "id3"]
    assert (box.take(10_000), box.is_empty, box.size_bytes) == (b"", True, 0)


def test_the_oldest_readings_go_first_then_pulses_then_anomalies_and_lost_says_how_many() -> None:
    box = Outbox(10_000, events_max=3)
    box.put(told("hello", 0))
    assert len(heard(box.take(1))) == 1
    for n, name in enumerate((ANOMALY, PULSE, READINGS, READINGS, PULSE, ANOMALY, ANOMALY), start=1):
        box.put(told(name, n))
    assert heard(box.take(10_000)) == [
        ("lost", "id0", {"events": 4}),
        (ANOMALY, "id1", {"n": 1}),
        (ANOMALY, "id6", {"n": 6}),
        (ANOMALY, "id7", {"n": 7}),
    ]
    assert box.is_empty


def test_lost_comes_before_what_is_behind_it_and_goes_on_from_what_was_sent_last() -> None:
    box = Outbox(10_000, events_max=2)
    for n in range(5):
        box.put(told("hello" if n == 0 else READINGS, n))
    assert [e[:2] for e in heard(box.take(10_000))] == [("hello", "id0"), ("lost", "id0"), (READINGS, "id4")]


@given(
    st.lists(st.tuples(st.sampled_from([READINGS, PULSE, ANOMALY, None]), st.integers(0, 2000)), max_size=200),
    st.integers(500, 5000),
    st.integers(1, 20),
)
def test_it_is_bounded_and_nothing_goes_uncounted(
    steps: list[tuple[str | None, int]], bytes_max: int, events_max: int
) -> None:
    box, put, got, lost = Outbox(bytes_max, events_max=events_max), 0, [], 0
    box.put(told("hello", 0))
    for name, n in steps:
        if name is None:
            events = heard(box.take(n))
            lost += sum(data["events"] for kind, _, data in events if kind == "lost")
            got += [int(id_[2:]) for kind, id_, _ in events if kind not in {"lost", "hello"}]
        else:
            put += 1
            box.put(Told(Event(name, b'{"n":"%s"}' % (b"x" * n)), f"id{put}"))
        assert len(box) <= max(events_max, 1)
        assert len(box) == 1 or box.size_bytes <= bytes_max
    events = heard(box.take(10**9))
    lost += sum(data["events"] for kind, _, data in events if kind == "lost")
    got += [int(id_[2:]) for kind, id_, _ in events if kind not in {"lost", "hello"}]
    assert got == sorted(set(got))
    assert len(got) + lost == put
    assert (box.is_empty, box.size_bytes) == (True, 0)
