"""Groups and limits: whatever comes when, each thing is told in one alert or counted in one, and never too many."""

import itertools
from collections import Counter
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st

from consumers.alerting import Alerting, Bucket, Due, Event, Item, Kind, alert
from telemetry.anomaly import Severity
from telemetry.settings import Alerts
from tests.consumers.alert_world import anomaly

STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12), st.floats(0, 40)), max_size=25)


def item(n: int, device: str = "d1", severity: Severity = Severity.CRITICAL, event: Event = Event.OPENED) -> Item:
    return Item(anomaly(n, device=device, severity=severity), event, 0, n)


@example([(0, 1, 0.0), (0, 1, 0.0), (1, 2, 0.0)], 2, 1, 1)
@given(STEPS, st.integers(1, 5), st.integers(1, 8), st.sampled_from([1, 7, 10_000]))
def test_everything_is_told_or_counted_once(
    steps: list[tuple[int, int, float]], burst: int, common: int, held_max: int
) -> None:
    with mock.patch("consumers.alerting.HELD_MAX", held_max):
        check(steps, burst, common, held_max)


def check(steps: list[tuple[int, int, float]], burst: int, common: int, held_max: int) -> None:
    settings = Alerts(device_burst=burst, device_per_hour=60, burst=common, per_hour=240)
    alerting, now_s, due, n = Alerting(settings), 0.0, Due(), 0
    for device, count, wait_s in steps:
        for _ in range(count):
            due += alerting.take(item(n, f"d{device}"), now_s)
            n += 1
            assert len(due.alerts) <= common + 240 * now_s / 3600
            assert len(list(alerting.held())) <= held_max
        now_s += wait_s
        due += alerting.due(now_s)
        assert len(due.alerts) <= common + 240 * now_s / 3600
    for _ in range(200):
        if alerting.due_s is None:
            break
        now_s = max(now_s, alerting.due_s)
        due += alerting.due(now_s)
    assert alerting.due_s is None and list(alerting.held()) == [] and alerting._held == 0
    listed = Counter(i.offset for a in due.alerts for i in a.items)
    counted = Counter(i.offset for i in due.counted)
    assert listed + counted == Counter(range(n))
    assert sum(sum(a.more.values()) for a in due.alerts) == len(due.counted)
    assert len({a.key for a in due.alerts}) == len(due.alerts)
    for device in range(4):
        own = [a for a in due.alerts if a.device == f"d{device}"]
        assert len(own) <= burst + 60 * now_s / 3600 + 1


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(per_hour=60, burst=3)
    taken = []
    for now_s in range(0, 600):
        if bucket.wait_s(now_s) == 0:
            bucket.take(now_s)
            taken.append(now_s)
        if bucket.wait_s(now_s) == 0 and now_s == 0:
            bucket.take(now_s)
            taken.append(now_s)
    assert taken[:3] == [0, 0, 1]
    assert [b - a for a, b in itertools.pairwise(taken[3:])] == [60] * (len(taken) - 4)
    assert len(taken) == 3 + 9


def test_a_key_follows_from_what_is_told_alone() -> None:
    a, b = item(1), item(2)
    key = alert(Kind.SUMMARY, "d1", [a, b]).key
    assert alert(Kind.SUMMARY, "d1", [b, a]).key == key
    worse = Item(a.anomaly, Event.CLOSED, 0, 9)
    others = [
        alert(Kind.SUMMARY, "d1", [a]),
        alert(Kind.FIRST, "d1", [a, b]),
        alert(Kind.SUMMARY, "d1", [worse, b]),
        alert(Kind.MORE, "d1", (), salt="x"),
        alert(Kind.MORE, "d1", (), salt="y"),
    ]
    assert len({key, *(o.key for o in others)}) == 6


def test_what_is_left_of_an_alert_has_a_key_of_its_own() -> None:
    a = alert(Kind.SUMMARY, "d1", [item(1), item(2)], more={"fall": 3})
    b = alert(Kind.SUMMARY, "d1", [item(3), item(4)], more={"fall": 3})
    left = [a.of([]), b.of([]), a.of([a.items[0]]), a, b]
    assert len({one.key for one in left}) == 5
    assert a.of(a.items) is a
    assert a.of([]).key == a.of([]).key


def test_the_last_word_of_an_anomaly_is_what_the_summary_says() -> None:
    alerting = Alerting(Alerts())
    alerting.take(item(0), 0.0)
    alerting.take(item(1, severity=Severity.WARNING), 1.0)
    alerting.take(item(1, severity=Severity.CRITICAL, event=Event.RAISED), 2.0)
    (summary,) = alerting.due(31.0).alerts
    assert [(i.event, i.anomaly.severity) for i in summary.items] == [(Event.RAISED, Severity.CRITICAL)]
    assert summary.severity is Severity.CRITICAL


def test_a_quiet_alerting_holds_nothing() -> None:
    alerting = Alerting(Alerts())
    for n in range(50):
        alerting.take(item(n, f"d{n}"), float(n))
    for now_s in (100.0, 10_000.0, 40_000.0, 80_000.0):
        alerting.due(now_s)
    assert (alerting._groups, alerting._buckets) == ({}, {})
