"""The storm guard: N anomalies an hour, and one record for the rest."""

from consumers.episode import Place, Scene
from consumers.storm import HOUR_NS, Storm

SCENE = Scene("pi", "s1", "device", is_live=True)


def place(hour: float) -> Place:
    return Place(round(hour * HOUR_NS), 0, 7)


def test_what_is_over_is_counted_and_said_once_and_at_the_hours_end() -> None:
    storm = Storm()
    assert storm.begin(SCENE, place(5), 5 * HOUR_NS, 3) == []
    assert [storm.admits(100 + k, 3) for k in range(5)] == [True, True, True, False, False]
    (opened,) = storm.told(SCENE, place(5), 3)
    assert (opened.kind, opened.version, opened.is_open, opened.stream, opened.start_ns) == (
        "storm",
        1,
        True,
        "device",
        103,
    )
    assert storm.due_ns == 6 * HOUR_NS
    assert storm.told(SCENE, place(5.1), 3) == []
    assert storm.begin(SCENE, place(5.5), HOUR_NS * 11 // 2, 3) == []
    assert not storm.admits(200, 3)
    (closed,) = storm.begin(SCENE, place(6), 6 * HOUR_NS, 3)
    assert (closed.id, closed.version, closed.is_open, closed.evidence[0].seen) == (opened.id, 2, False, 6)
    assert "2.0x its usual" in closed.words
    assert storm.admits(300, 3), "a new hour"
    assert storm.due_ns is None


def test_a_calm_device_says_nothing() -> None:
    storm = Storm()
    for hour in range(5):
        assert storm.begin(SCENE, place(hour), hour * HOUR_NS, 2) == []
        assert storm.admits(hour, 2)
        assert storm.admits(hour, 2)
        assert storm.told(SCENE, place(hour), 2) == []


def test_a_session_that_ends_closes_it() -> None:
    storm = Storm()
    storm.begin(SCENE, place(1), HOUR_NS, 1)
    assert [storm.admits(k, 1) for k in range(2)] == [True, False]
    assert [a.is_open for a in storm.told(SCENE, place(1), 1)] == [True]
    assert [a.is_open for a in storm.over(SCENE, place(1), 1)] == [False]
    assert storm.over(SCENE, place(1), 1) == []
