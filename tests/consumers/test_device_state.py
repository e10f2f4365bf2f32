"""A device's state as bytes: thawed after any prefix it goes on bit for bit, and damage is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumers import device_state, frozen
from consumers.clips import Tape
from consumers.detect import DetectOperator, DetectOperators
from consumers.detectors import Detector
from consumers.operator import Arrival, Lane
from consumers.track import Track
from telemetry.anomaly import Anomaly
from telemetry.batch import Batch, Series
from telemetry.errors import Malformed
from telemetry.settings import Detect
from tests.consumers.phone import DEVICE, SECOND, T0, Readings

OPERATORS = DetectOperators(Detect(silence_batches_min=3, opened_per_hour_max=3, backlog_sessions_max=2))


def stuck(seconds: int, begin_s: float, seed: int) -> Readings:
    readings = Readings(seconds, begin_s=begin_s, seed=seed)
    readings.body[readings.row(seconds * 0.6) :, :3] = [0.25, 0.5, 9.75]
    readings.celsius[seconds // 2] = 60.0
    return readings


def late(readings: Readings, session: str) -> list[Batch]:
    """Whose fixes come a batch late."""
    batches = readings.batches(session, each_s=3)
    moved = [(), *(b.series[2:] for b in batches)]
    return [replace(b, series=b.series[:2] + m) for b, m in zip(batches, moved, strict=False)]


def parts(thing: Any) -> Any:  # noqa: PLR0911
    """All that it holds, to the bit, whatever `freeze` thinks of."""
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.shape, thing.tobytes()
    if isinstance(thing, Tape):
        return parts(thing.rows())
    if isinstance(thing, Detector):
        return parts(thing.state())
    if isinstance(thing, dict):
        ordered = thing.items() if all(isinstance(v, Track) for v in thing.values()) else sorted(thing.items())
        return [(key, parts(value)) for key, value in ordered]
    if isinstance(thing, list | tuple):
        return [parts(value) for value in thing]
    if type(thing).__module__.startswith("consumers."):
        names = [
            *getattr(thing, "__slots__", ()),
            *getattr(thing, "__struct_fields__", ()),
            *getattr(thing, "__dict__", {}),
        ]
        return [(name, parts(getattr(thing, name))) for name in sorted(set(names) - {"plan"})]
    return thing


LIVE = late(stuck(120, 0, 1), "live")
OLD = stuck(120, -86_400, 2).batches("old", each_s=3)
NEXT = stuck(60, 3600, 3).batches("next", each_s=3)
QUEUES = {"live": (Lane.LIVE, LIVE), "old": (Lane.BACKLOG, OLD), "next": (Lane.LIVE, NEXT), "late": (Lane.LATE, LIVE)}

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # it would take minutes
Step = Callable[[DetectOperator], list[Anomaly]]


def steps(names: list[tuple[str, int]]) -> list[Step]:
    """What a device lives through: batches of its sessions, time that passes, sessions that end."""
    done: list[Step] = []
    taken = dict.fromkeys(QUEUES, 0)
    now_s = 0.0
    for name, count in names:
        for _ in range(count):
            now_s += 3
            if name == "wait":
                now_s += 500
                received_ns = T0 + round(now_s * SECOND)
                done.append(lambda op, ns=received_ns: op.pass_time(ns))
            elif name == "end":
                done.append(lambda op: op.end_session("old"))
            elif taken[name] < len(QUEUES[name][1]):
                lane, batches = QUEUES[name]
                arrival = Arrival(batches[taken[name]], lane, T0 + round(now_s * SECOND), 1, len(done))
                taken[name] += 1
                done.append(lambda op, arrival=arrival: op.apply(arrival))
    return done


NAMES = st.lists(st.tuples(st.sampled_from([*QUEUES, "live", "old", "wait", "end"]), st.integers(1, 25)), max_size=6)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=NO_SHRINKING)
@given(NAMES, st.data())
def test_thawed_after_any_prefix_it_goes_on_bit_for_bit(names: list[tuple[str, int]], data: st.DataObject) -> None:
    plan = steps([("live", 5), *names])
    stops = set(data.draw(st.lists(st.integers(0, len(plan)), max_size=4)))
    one, other = OPERATORS.fresh(DEVICE), OPERATORS.fresh(DEVICE)
    for k, step in enumerate(plan):
        if k in stops:
            other = OPERATORS.thaw(DEVICE, other.freeze())
        assert step(one) == step(other)
        assert one.due_ns == other.due_ns
        assert parts(one.device) == parts(other.device)
    assert one.freeze() == other.freeze()
    assert OPERATORS.thaw(DEVICE, one.freeze()).freeze() == one.freeze()


def lived() -> DetectOperator:
    """Something is open, a clip is being filled, a backlog drains, a storm rages."""
    operator = OPERATORS.fresh(DEVICE)
    for step in steps([("live", 26), ("old", 26)]):
        step(operator)
    return operator


def test_the_state_that_is_tested_holds_all_there_is() -> None:
    operator = lived()
    device = operator.device
    assert list(device.backlogs) == ["old"]
    assert device.live.watches["motion"].has_open
    assert device.live.joiner.gyro.t.size
    assert device.live.joiner.lag_ns > SECOND
    assert device.live.watches.keys() == {"motion", "temperature"}


def test_a_detector_of_another_model_begins_anew_and_the_rest_goes_on() -> None:
    operator = lived()
    read = frozen.unpack(device_state.SCHEMA, operator.freeze())
    read.head["live"]["streams"]["motion"]["models"]["health"] -= 1
    thawed = OPERATORS.thaw(DEVICE, frozen.pack(device_state.SCHEMA, read.head, read.arrays))
    before, after = (op.device.live.watches["motion"].scorer.state() for op in (operator, thawed))
    assert {k: v.tobytes() for k, v in before["motion"].items()} == {k: v.tobytes() for k, v in after["motion"].items()}
    fresh = OPERATORS.fresh(DEVICE)
    fresh.apply(Arrival(LIVE[0], Lane.LIVE, T0, 0, 0))
    assert not all((v == after["health"][k]).all() for k, v in before["health"].items())
    assert thawed.device.live.watches["motion"].has_open


def test_a_stream_that_is_judged_otherwise_by_now_begins_anew() -> None:
    others = DetectOperators(Detect(profiles={"temperature": "health"}))
    thawed = others.thaw(DEVICE, lived().freeze())
    assert thawed.device.live.watches.keys() == {"motion"}
    assert thawed.apply(Arrival(LIVE[26], Lane.LIVE, T0, 0, 0)) is not None
    assert thawed.device.live.watches["temperature"].profile.detectors == ("health",)


@pytest.mark.parametrize(
    "path",
    [
        ("live",),
        ("silence", "intervals"),
        ("live", "streams", "motion", "clock"),
        ("live", "streams", "motion", "open", "stuck", "facts", "start_ns"),
        ("live", "joiner", "lag_ns"),
    ],
)
def test_a_damaged_header_is_refused(path: tuple[str, ...]) -> None:
    read = frozen.unpack(device_state.SCHEMA, lived().freeze())
    node = read.head
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = "?"
    with pytest.raises(Malformed):
        OPERATORS.thaw(DEVICE, frozen.pack(device_state.SCHEMA, read.head, read.arrays))


def test_a_missing_or_misshapen_array_is_refused() -> None:
    read = frozen.unpack(device_state.SCHEMA, lived().freeze())
    for name in (
        "live/motion/tape/at",
        "live/motion/health/clock",
        "live/gyro/t",
        "0/motion/motion/" + _part("motion"),
    ):
        arrays = dict(read.arrays)
        array = arrays.pop(name)
        with pytest.raises(Malformed):
            OPERATORS.thaw(DEVICE, frozen.pack(device_state.SCHEMA, read.head, arrays))
        with pytest.raises(Malformed):
            OPERATORS.thaw(DEVICE, frozen.pack(device_state.SCHEMA, read.head, arrays | {name: array[..., None]}))


def _part(detector: str) -> str:
    return next(iter(lived().device.live.watches["motion"].scorer.detectors[detector].state()))


def test_another_devices_state_is_refused() -> None:
    with pytest.raises(Malformed, match="not 'other'"):
        OPERATORS.thaw("other", lived().freeze())
    with pytest.raises(Malformed):
        OPERATORS.thaw(DEVICE, b"")


def test_an_idle_devices_state_is_small() -> None:
    operator = OPERATORS.fresh(DEVICE)
    batch = Batch(DEVICE, "s1", 0, (Series.of("temperature", [T0], {"celsius": [20.0]}),))
    operator.apply(Arrival(batch, Lane.LIVE, T0, 0, 0))
    assert len(operator.freeze()) < 8 * 1024
