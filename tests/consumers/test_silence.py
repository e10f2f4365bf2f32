"""A device that says nothing for far longer than it used to."""

from consumers.episode import Place, Scene
from consumers.silence import INTERVALS_KEPT, Silence
from telemetry.anomaly import Anomaly

SECOND = 10**9
SCENE = Scene("pi", "s1", "device", is_live=True)


class Device:
    def __init__(self) -> None:
        self.silence = Silence()

    def speaks(self, *at_s: float, is_live: bool = True) -> list[Anomaly]:
        return [
            a
            for s in at_s
            for a in self.silence.heard_of(SCENE, Place(round(s * SECOND), 2, 7), batches_min=20, is_live=is_live)
        ]

    @property
    def until_s(self) -> float | None:
        until = self.silence.until_ns(s_min=60, times=10, batches_min=20)
        return None if until is None else until / SECOND

    def waits(self, until_s: float) -> list[Anomaly]:
        until_ns = self.silence.until_ns(s_min=60, times=10, batches_min=20)
        return self.silence.passed(SCENE, round(until_s * SECOND), until_ns)


def test_it_opens_once_and_closes_when_it_speaks_again() -> None:
    device = Device()
    assert device.speaks(*range(100)) == []
    assert device.until_s == 159
    assert device.waits(158.9) == []
    (opened,) = device.waits(200)
    assert (opened.kind, opened.stream, opened.is_open, opened.version) == ("silence", "device", True, 1)
    assert (opened.start_ns, opened.updated_ns, opened.partition, opened.offset) == (99 * SECOND, 159 * SECOND, 2, 7)
    assert opened.words == "silence: time without a word 60.0x its usual for this device at 00:02:39"
    assert device.until_s is None
    assert device.waits(1000) == []
    (closed,) = device.speaks(500)
    assert (closed.id, closed.is_open, closed.version, closed.end_ns) == (opened.id, False, 2, 500 * SECOND)
    assert device.until_s == 560


def test_a_slow_device_is_given_ten_times_its_usual_interval_and_one_gap_does_not_change_it() -> None:
    device = Device()
    device.speaks(*(k * 30 for k in range(40)), 5000)
    assert device.until_s == 5300


def test_a_device_of_few_batches_never_is_silent() -> None:
    device = Device()
    device.speaks(*range(19))
    assert device.until_s is None
    assert device.waits(10**6) == []


def test_a_backlog_is_a_word_but_does_not_say_how_often_it_speaks() -> None:
    device = Device()
    device.speaks(*range(0, 600, 20))
    device.speaks(*(580 + k / 100 for k in range(100)), is_live=False)
    assert device.until_s == 580.99 + 200
    assert len(device.silence.intervals) <= INTERVALS_KEPT


def test_receive_times_that_go_back_do_no_harm() -> None:
    device = Device()
    device.speaks(*range(50), 20)
    assert device.until_s == 109
    assert min(device.silence.intervals) >= 0
