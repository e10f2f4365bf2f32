"""Detection on one device: lanes, sessions, silence, storms, and what comes out at the end."""

import numpy as np
import pytest

from consumers.detect import RECORDS_AT_ONCE, AnomalySink, DetectOperator, DetectOperators
from consumers.operator import Arrival, Lane
from telemetry import anomaly, metrics
from telemetry.anomaly import Anomaly, newest
from telemetry.batch import Batch, Series
from telemetry.errors import Misconfigured
from telemetry.logs.memory import Config, MemoryLog
from telemetry.ports import ANOMALIES
from telemetry.reading import CATALOGUE, Kind
from telemetry.settings import Detect
from tests.consumers.phone import DEVICE, SECOND, T0, Giver, Readings

DAY_S = 86_400


def giver(**settings: object) -> Giver:
    """Judges the motion stream only, unless told."""
    return Giver(DetectOperators(Detect.model_validate({"profiles": {"temperature": "none"}} | settings)).fresh(DEVICE))


def stuck(readings: Readings, begin_s: float, end_s: float) -> Readings:
    readings.body[readings.row(begin_s) : readings.row(end_s), :3] = [0.25, 0.5, 9.75]
    return readings


def states(operator: DetectOperator) -> dict[str, bytes]:
    """What the live detectors know."""
    return {
        f"{stream}/{name}/{part}": array.tobytes()
        for stream, watch in operator.device.live.watches.items()
        for name, state in watch.scorer.state().items()
        for part, array in state.items()
    }


def test_a_stuck_accelerometer_is_told_at_once_with_its_reason_and_closes() -> None:
    given = giver()
    assert given.give(stuck(Readings(120), 60, 75).batches()[:60]) == []
    readings = stuck(Readings(120), 60, 75)
    given.give(readings.batches()[60:])
    (only,) = newest(given.said)
    first = given.said[0]
    assert (first.kind, first.stream, first.session, first.version) == ("stuck", "motion", "s1", 1)
    assert (first.is_open, first.is_live, first.partition) == (True, True, 3)
    assert first.updated_ns - T0 < 62 * SECOND, "within two seconds"
    assert abs(first.start_ns - (T0 + 60 * SECOND)) < SECOND
    assert "usual" in first.words
    assert not only.is_open
    assert abs(only.end_ns - (T0 + 75 * SECOND)) < SECOND
    assert set(only.samples.values) == {
        *("ax", "ay", "az", "gx", "gy", "gz"),
        *("latitude", "longitude", "speed", "horizontalAccuracy"),
    }
    span = np.array(only.samples.t) - only.start_ns
    assert (-5 * SECOND <= span.min() <= -4.9 * SECOND, 4.9 * SECOND <= span.max() <= 5.1 * SECOND) == (True, True)
    assert anomaly.decode(anomaly.encode(only)) == only


@pytest.mark.parametrize("each_s", [0.25, 5, 60])
def test_the_same_readings_in_other_batches_are_the_same_anomalies(each_s: float) -> None:
    readings = stuck(Readings(240), 60, 75)
    readings.body[readings.row(150), 0] = 120.0
    readings.celsius[200] = 35.0
    told: list[dict[str, tuple[object, ...]]] = []
    for size in (1, each_s):
        given = giver(profiles={})
        given.give(readings.batches(each_s=size))
        given.give([Batch(DEVICE, "s2", 0, ())])  # another session closes what is open
        told.append({a.id: (a.kind, a.start_ns, a.end_ns, a.score, a.evidence, a.samples) for a in newest(given.said)})
    assert told[0] == told[1]
    assert len(told[0]) >= 2


def test_a_backlog_is_judged_by_a_copy_and_touches_nothing_live() -> None:
    given = giver()
    given.give(Readings(120, begin_s=DAY_S).batches("now"))
    before = states(given.operator)
    given.give(stuck(Readings(120), 60, 75).batches("old"), Lane.BACKLOG)
    assert given.kinds() == ["stuck"], "and no clock jump, no GPS jump: yesterday is another session"
    assert not any(a.is_live for a in given.said)
    assert states(given.operator) == before
    assert given.give(Readings(10, begin_s=DAY_S + 120).batches("now", first_seq=120)) == []


def test_sessions_that_follow_each_other_are_no_dropout_and_close_what_was_open() -> None:
    given = giver()
    given.give(stuck(Readings(100), 90, 100).batches("s1"))
    assert [a.is_open for a in newest(given.said)] == [True]
    next_day = Readings(60, begin_s=DAY_S)
    next_day.fixes[:, 0] += 3.0
    (closed,) = given.give(next_day.batches("s2"))
    assert (closed.kind, closed.session, closed.is_open) == ("stuck", "s1", False)


def test_a_backlog_that_becomes_the_live_session_ends_as_a_backlog() -> None:
    given = giver()
    given.give(Readings(60, begin_s=DAY_S).batches("now"))
    old = stuck(Readings(100), 90, 100).batches("old")
    given.give(old, Lane.BACKLOG)
    assert [a.is_open for a in newest(given.said)] == [True]
    given.give(Readings(10, begin_s=2 * DAY_S).batches("old", first_seq=100))
    assert [a.is_open for a in newest(given.said)] == [False]
    assert not given.operator.device.backlogs


def test_a_late_batch_is_counted_and_touches_nothing() -> None:
    given = giver()
    batches = stuck(Readings(120), 60, 75).batches()
    given.give(batches[:60])
    before, counted = states(given.operator), metrics.readings_unjudged.labels("late")._value.get()
    assert given.give(batches[65:75], Lane.LATE) == []
    assert states(given.operator) == before
    assert metrics.readings_unjudged.labels("late")._value.get() - counted == sum(b.readings for b in batches[65:75])


def test_a_clock_that_steps_back_within_a_session_is_named_and_silences_nothing() -> None:
    given = giver()
    given.give(Readings(120).batches())
    given.give(stuck(Readings(120, begin_s=-3 * DAY_S, seed=2), 60, 75).batches(first_seq=120), received_s=150)
    assert "clock_jump" in given.kinds()
    assert "stuck" in given.kinds()


def test_silence_is_told_by_receive_time_and_is_over_with_the_next_word() -> None:
    given = giver()
    given.give(Readings(60).batches())
    due_ns = given.operator.due_ns
    assert due_ns is not None
    assert abs(due_ns - (T0 + 120 * SECOND)) < SECOND
    assert given.operator.pass_time(due_ns - 1) == []
    (silent,) = given.operator.pass_time(due_ns + 5 * SECOND)
    assert (silent.kind, silent.stream, silent.updated_ns) == ("silence", "device", due_ns)
    assert given.operator.due_ns is None
    (over,) = given.give(Readings(1, begin_s=300).batches("s2"))
    assert (over.id, over.is_open) == (silent.id, False)


def test_a_stream_that_falls_silent_closes_its_anomalies() -> None:
    given = giver(silence_batches_min=10_000)
    given.give(stuck(Readings(100), 90, 100).batches())
    (opened,) = newest(given.said)
    due_ns = given.operator.due_ns
    assert due_ns is not None
    assert abs(due_ns - (T0 + 700 * SECOND)) < SECOND
    (closed,) = given.operator.pass_time(due_ns + SECOND)
    assert (closed.id, closed.is_open, closed.updated_ns) == (opened.id, False, due_ns)
    assert given.operator.due_ns is None


def test_a_storm_is_bounded_and_said() -> None:
    given = giver(opened_per_hour_max=1)
    readings = stuck(stuck(Readings(240), 60, 75), 100, 115)
    given.give(stuck(readings, 150, 165).batches())
    assert given.kinds() == ["storm", "stuck"]
    assert given.kinds(lambda a: a.is_open) == ["storm"]
    assert given.operator.due_ns is not None
    said = given.operator.pass_time(T0 + 2 * 3600 * SECOND)
    (over,) = [a for a in said if a.kind == "storm"]
    assert (over.is_open, over.evidence[0].seen) == (False, 3.0)


def test_backlogs_are_bounded() -> None:
    given = giver(backlog_sessions_max=2)
    given.give(Readings(60, begin_s=DAY_S).batches("now"))
    for k in range(4):
        given.give(stuck(Readings(70, seed=k), 60, 70).batches(f"old{k}"), Lane.BACKLOG)
    assert list(given.operator.device.backlogs) == ["old2", "old3"]
    open_ = {a.session for a in newest(given.said) if a.is_open}
    assert open_ == {"old2", "old3"}, "those that were dropped were closed"
    for session in ("old2", "old3"):
        given.said += given.operator.end_session(session)
    assert not any(a.is_open for a in newest(given.said))


def test_a_device_of_many_streams_is_bounded() -> None:
    given = giver(streams_max=2, profiles={})
    before = metrics.readings_unjudged.labels("crowded")._value.get()
    one = [
        Series.of(s, [T0, T0 + 1], {f: [1.0, 2.0]})
        for s, f in (("light", "illuminance"), ("humidity", "relative"), ("heart_rate", "rate"))
    ]
    given.give([Batch(DEVICE, "s1", 0, tuple(one))])
    assert len(given.operator.device.live.watches) == 2
    assert metrics.readings_unjudged.labels("crowded")._value.get() - before == 2


def test_the_settings_say_how_a_sensor_is_judged() -> None:
    given = giver(profiles={"acceleration": "health", "gyroscope": "none", "temperature": "none", "location": "none"})
    given.give(Readings(3).batches())
    live = given.operator.device.live.watches
    assert {name: watch.profile.detectors for name, watch in live.items()} == {"acceleration": ("health",)}


@pytest.mark.parametrize("profiles", [{"temprature": "series"}, {"temperature": "motion"}])
def test_a_profile_that_makes_no_sense_is_refused(profiles: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match=r"detect\.profiles"):
        DetectOperators(Detect.model_validate({"profiles": profiles}))


EXTREMES = {
    "constant": lambda n: np.full(n, 7.0),
    "zero": np.zeros,
    "huge": lambda n: np.where(np.arange(n) % 2, 3e38, -3e38),
    "growing": lambda n: 10.0 ** (np.arange(n) % 38),
    "absent": lambda n: np.full(n, np.nan),
    "now and then": lambda n: np.where(np.arange(n) % 7, np.nan, 1.0),
    "stepwise": lambda n: (np.arange(n) // 50).astype(float),
}


@pytest.mark.parametrize("extreme", EXTREMES)
def test_extremes_are_no_storm_and_no_error(extreme: str) -> None:
    given = giver(profiles={})
    for k in range(30):
        t = T0 + (k * 100 + np.arange(100)) * (SECOND // 50)
        column = EXTREMES[extreme](100)
        series = [
            Series.of(sensor.name, t, {f.name: column for f in sensor.fields if f.kind.is_number})
            for sensor in CATALOGUE.values()
            if any(f.kind is not Kind.TEXT for f in sensor.fields)
        ]
        given.give([Batch(DEVICE, "s1", k, tuple(series[:12]))])
    opened = newest(given.said)
    assert len(opened) <= 30, given.kinds()
    for told in given.said:
        assert anomaly.decode(anomaly.encode(told)) == told
    assert given.operator.freeze()


@pytest.mark.parametrize("n", [0, 1])
def test_empty_batches_and_batches_of_one_row(n: int) -> None:
    given = giver(profiles={})
    for k in range(50):
        t = np.full(n, T0 + k * SECOND)
        series = [Series.of("temperature", t, {"celsius": [20.0] * n}), Series.of("acceleration", t, {"x": [1.0] * n})]
        assert given.give([Batch(DEVICE, "s1", k, tuple(series))]) == []


def all_sensors(k: int) -> Batch:
    """A second of a phone that sends all it has."""
    rng = np.random.default_rng(k)
    (body,) = Readings(1, rate=100, begin_s=k, seed=k).batches("s1", first_seq=k)
    t = body.series[0].t
    magnetic = Series.of("magnetometer", t, {axis: rng.normal(30, 1, 100) for axis in "xyz"})
    single = (("barometer", "pressure"), ("light", "illuminance"), ("microphone", "dbfs"))
    others = [Series.of(sensor, t[::20], {name: rng.normal(50, 1, 5)}) for sensor, name in single]
    return Batch(DEVICE, "s1", k, (*body.series, magnetic, *others))


def test_what_a_device_costs_is_bounded() -> None:
    given = giver(profiles={})
    given.give([all_sensors(k) for k in range(30)])
    assert given.operator.size_bytes < 320 * 1024, "225 KiB, and a temperature, as it is said in device_state"
    assert len(given.operator.freeze()) < 96 * 1024
    given = giver()
    given.give(stuck(Readings(100, rate=100), 60, 100).batches())
    calm = giver()
    calm.give(Readings(100, rate=100).batches())
    assert calm.operator.size_bytes < 80 * 1024
    assert given.operator.size_bytes < (80 + 288) * 1024, "an anomaly is open"
    for k in range(4):
        old = stuck(Readings(70, rate=100, seed=k, begin_s=-DAY_S), 60, 70).batches(f"old{k}")
        given.give(old, Lane.BACKLOG)
    assert given.operator.size_bytes < 3 * (80 + 288) * 1024


async def test_the_sink_writes_bounded_records_keyed_by_device() -> None:
    log = MemoryLog(Config())
    await log.start()
    given = giver()
    given.give(stuck(Readings(120), 60, 75).batches())
    outputs = given.said * 20
    assert len(outputs) > RECORDS_AT_ONCE
    await AnomalySink(log).write(outputs)
    reader = await log.follow(ANOMALIES)
    entries = await reader.poll(records_max=1000, bytes_max=2**30, wait_s=1)
    read: list[Anomaly] = [anomaly.decode(e.value or b"") for e in entries]
    assert read == outputs
    assert {e.key for e in entries} == {DEVICE}
    assert entries[0].headers["id"] == outputs[0].id
    await log.close()


def test_an_arrival_without_series_is_fine() -> None:
    operator = DetectOperators(Detect()).fresh(DEVICE)
    assert operator.apply(Arrival(Batch(DEVICE, "s1", 0, ()), Lane.BACKLOG, T0, 0, 0)) == []
    assert operator.end_session("never heard of") == []
    assert operator.pass_time(T0 + DAY_S * SECOND) == []
