"""People are told of what opens or gets worse, once, in time, and not more than they can bear."""

import msgspec
import pytest

from consumers.alerting import Kind
from telemetry.anomaly import Severity
from telemetry.deadletters import original
from telemetry.errors import Permanent, Retryable
from telemetry.ports import ANOMALIES, DEADLETTERS, Record
from tests.consumers.alert_world import START_NS, anomaly, run, world
from tests.gateway.gateway_world import stored

INFO, WARNING, CRITICAL = Severity


async def test_the_first_is_told_at_once_and_what_follows_together() -> None:
    async with world() as w:
        await w.found(anomaly(0))
        assert w.told.said == [["opened fall 0"]]
        await w.found(anomaly(1), anomaly(2))
        await w.later(29)
        assert len(w.told.alerts) == 1
        await w.later(2)
        assert w.told.said[1:] == [["opened fall 1", "opened fall 2"]]
        assert [a.kind for a in w.told.alerts] == [Kind.FIRST, Kind.SUMMARY]
        await w.later(31)
        await w.found(anomaly(3))
        assert w.told.said[2:] == [["opened fall 3"]]


async def test_devices_do_not_wait_for_each_other() -> None:
    async with world() as w:
        await w.found(anomaly(0), anomaly(0, device="d2"), anomaly(1))
        assert [a.device for a in w.told.alerts] == ["d1", "d2"]


async def test_an_update_is_no_news_unless_it_is_worse() -> None:
    async with world() as w:
        await w.found(anomaly(0, severity=WARNING))
        await w.found(anomaly(0, 2, severity=WARNING), anomaly(0, 3, severity=INFO))
        await w.later(31)
        assert len(w.told.alerts) == 1
        await w.found(anomaly(0, 4, severity=CRITICAL))
        assert w.told.said[1:] == [["raised fall 0"]]
        await w.found(anomaly(0, 5, severity=CRITICAL, is_open=False))
        await w.later(31)
        assert len(w.told.alerts) == 2


async def test_closing_is_told_where_it_is_wanted_and_the_opening_was() -> None:
    async with world(on_close=True) as w:
        await w.found(anomaly(0), anomaly(1, severity=INFO))
        await w.later(31)
        await w.found(anomaly(0, 2, is_open=False), anomaly(0, 3, is_open=False))
        await w.later(31)
        assert w.told.said[-1] == ["closed fall 0"]


@pytest.mark.parametrize("changed", [{"is_live": False}, {"severity": INFO}, {"updated_ns": START_NS - 3601 * 10**9}])
async def test_what_is_not_live_or_matters_little_or_is_old_is_not_told(changed: dict[str, object]) -> None:
    async with world(severity_min="warning") as w:
        await w.found(msgspec.structs.replace(anomaly(0), **changed))
        assert w.told.alerts == []
        assert w.committed == 1


async def test_what_is_short_is_told_once() -> None:
    async with world() as w:
        await w.found(anomaly(0, is_open=False))
        await w.found(anomaly(0, is_open=False))
        await w.later(31)
        assert w.told.said == [["opened fall 0"]]


async def test_what_is_over_the_devices_limit_is_a_number() -> None:
    async with world(device_burst=1, device_per_hour=60.0) as w:
        await w.found(*(anomaly(n) for n in range(18)))
        assert len(w.told.alerts) == 1
        await w.later(31)  # the window's end, and no token yet
        assert len(w.told.alerts) == 1
        await w.later(30)
        assert [dict(a.more) for a in w.told.alerts[1:]] == [{"fall": 17}]
        assert w.told.alerts[1].kind is Kind.MORE
        assert w.told.alerts[1].severity is CRITICAL
        assert w.committed == 18
        await w.found(anomaly(3, 2))  # it was told, as one of a number
        await w.later(61)
        assert len(w.told.alerts) == 2


async def test_what_is_over_the_common_limit_is_a_number_for_all() -> None:
    async with world(burst=2, per_hour=60.0) as w:
        await w.found(*(anomaly(0, device=f"d{n}") for n in range(7)))
        assert [a.device for a in w.told.alerts] == ["d0", "d1"]
        await w.later(61)
        assert [(a.device, dict(a.more)) for a in w.told.alerts[2:]] == [("", {"fall": 5})]


async def test_a_long_list_is_cut_and_counted() -> None:
    async with world() as w:
        await w.found(*(anomaly(n) for n in range(31)))
        await w.later(31)
        assert len(w.told.alerts[1].items) == 20
        assert dict(w.told.alerts[1].more) == {"fall": 10}


async def test_what_somebody_has_seen_is_not_told_again() -> None:
    async with world() as w:
        one = anomaly(0, severity=WARNING)
        await w.found(one)
        await w.labelling.put(one, acknowledged=True, verdict=None, note="", by="me")
        await w.found(anomaly(0, 2, severity=CRITICAL), anomaly(1))
        await w.later(31)
        assert w.told.said == [["opened fall 0"], ["opened fall 1"]]


async def test_what_is_seen_while_it_waits_is_not_told() -> None:
    async with world() as w:
        await w.found(anomaly(0), anomaly(1))
        await w.labelling.put(anomaly(1), acknowledged=False, verdict="false", note="", by="me")
        await w.later(31)
        assert w.told.said == [["opened fall 0"]]
        await w.later(31)
        assert w.committed == 2


async def test_an_acknowledgement_quiets_its_kind_on_its_device_for_a_while() -> None:
    async with world(ack_quiet_s=600, group_s=1) as w:
        await w.found(anomaly(0))
        await w.labelling.put(anomaly(0), acknowledged=True, verdict=None, note="", by="me")
        await w.later(2)
        await w.found(anomaly(1), anomaly(2, kind="stuck"), anomaly(3, device="d2"))
        assert w.told.said[1:] == [["opened stuck 2"], ["opened fall 3"]]
        await w.later(601)
        await w.found(anomaly(4, updated_ns=w.clock.now_ns()))
        assert w.told.said[3:] == [["opened fall 4"]]


async def test_a_deleted_devices_anomalies_are_not_told() -> None:
    async with world() as w:
        await w.found(anomaly(0), anomaly(1))
        w.deleted.add("d1")
        await w.found(anomaly(2), anomaly(0, device="d2"))
        await w.later(31)
        assert w.told.said == [["opened fall 0"], ["opened fall 0"]]
        assert w.committed == 4


# --- delivery


async def test_a_record_is_committed_only_once_it_was_told() -> None:
    async with world() as w:
        w.told.script = [Retryable("down")]
        await w.found(anomaly(0), anomaly(0, device="d2"))
        assert (w.told.alerts, w.committed) == ([], 0)
        await w.later(1.1)
        assert len(w.told.alerts) == 2
        assert w.committed == 2


async def test_a_key_is_the_same_at_every_try_and_after_a_restart() -> None:
    async with world("a", "b") as w:
        w.channels["a"].always = Retryable("down")
        await w.found(anomaly(0))
        await w.crash()
        w.channels["a"].always = None
        await w.later(1.1)
        assert [a.key for a in w.channels["a"].alerts] == [a.key for a in w.channels["b"].alerts]


async def test_a_restart_repeats_nothing_that_was_told() -> None:
    async with world("a", "b") as w:
        await w.found(anomaly(0))
        w.channels["b"].always = Retryable("down")
        await w.found(anomaly(0, device="d2"), anomaly(0, device="d3"))
        assert w.committed == 1
        w.channels["b"].always = None
        await w.crash()
        await w.later(2)
        assert sorted(a.device for a in w.channels["a"].alerts) == ["d1", "d2", "d3"]
        assert sorted(a.device for a in w.channels["b"].alerts) == ["d1", "d2", "d3"]
        assert w.committed == 3


async def test_what_waited_for_its_window_is_told_after_a_restart() -> None:
    async with world() as w:
        await w.found(anomaly(0), anomaly(1), anomaly(2))
        assert w.committed == 1
        await w.crash()
        await w.later(31)
        assert sorted(text for said in w.told.said for text in said) == [f"opened fall {n}" for n in range(3)]
        assert w.committed == 3


async def test_an_update_after_a_restart_is_no_news() -> None:
    async with world() as w:
        await w.found(anomaly(0))
        await w.crash()
        await w.found(anomaly(0, 2))
        await w.later(31)
        assert len(w.told.alerts) == 1


async def test_what_is_long_over_is_forgotten_and_not_told_again() -> None:
    async with world() as w:
        await w.found(anomaly(0), anomaly(0, 2, is_open=False))
        await w.found(anomaly(0), anomaly(0, 2, is_open=False))  # a detector repeats itself after a crash
        await w.later(3700)
        await w.found(anomaly(0), anomaly(0, 2, is_open=False))
        assert len(w.told.alerts) == 1
        assert w.consumer is not None and w.consumer._memory.of(anomaly(0).id) is None


async def test_a_channel_that_fails_does_not_hold_the_others() -> None:
    async with world("a", "b") as w:
        w.channels["a"].always = Retryable("down")
        for n in range(5):
            await w.found(anomaly(0, device=f"d{n}"))
        assert len(w.channels["b"].alerts) == 5
        assert w.channels["a"].tries == 1


async def test_a_channel_that_fails_too_often_is_given_up_by_name() -> None:
    async with world("a", "b", tries_max=3, backoff_s=1) as w:
        w.channels["a"].always = Retryable("down")
        await w.found(anomaly(0))
        for _ in range(5):
            await w.later(10)
        (letter,) = await w.letters()
        assert (letter.reason, letter.topic, letter.key) == ("undelivered", ANOMALIES.name, "d1")
        assert letter.detail == "a: 3 tries, the last: down"
        assert w.committed == 1
        assert w.channels["a"].tries == 3
        await w.found(anomaly(0, 2))  # not tried again for each update
        assert w.channels["a"].tries == 3


async def test_waits_grow_and_what_the_far_end_asks_for_is_kept() -> None:
    async with world(backoff_s=1, tries_max=100) as w:
        w.told.script = [Retryable("down", retry_after_s=50)]
        w.told.always = Retryable("down")
        await w.found(anomaly(0))
        await w.later(49)
        assert w.told.tries == 1
        await w.later(1.5)
        assert w.told.tries == 2
        await w.later(1)
        assert w.told.tries == 2
        await w.later(1.1)
        assert w.told.tries == 3


async def test_what_never_gets_through_is_given_up_at_once_and_can_be_replayed() -> None:
    async with world("a", "b") as w:
        w.channels["a"].script = [Permanent("410")]
        await w.found(anomaly(0))
        assert [letter.detail for letter in await w.letters()] == ["a: 410"]
        await w.crash()
        await w.later(5 * 3600)
        (letter,) = await stored(w.log, DEADLETTERS)
        assert original(letter).headers["id"] == anomaly(0).id
        await w.log.append(ANOMALIES, [original(letter)])
        await w.read()
        assert len(w.channels["a"].alerts) == 1
        assert len(w.channels["b"].alerts) == 1


async def test_the_oldest_gives_way_when_too_many_wait() -> None:
    async with world(waiting_max=2, tries_max=100) as w:
        w.told.always = Retryable("down")
        for n in range(4):
            await w.found(anomaly(0, device=f"d{n}"))
        assert [letter.key for letter in await w.letters()] == ["d0", "d1"]
        assert w.committed == 2


async def test_what_is_no_anomaly_holds_nothing() -> None:
    async with world() as w:
        await w.log.append(ANOMALIES, [Record("d1", b"{"), Record("d1", None)])
        await w.found(anomaly(0))
        assert len(w.told.alerts) == 1
        assert (w.committed, await w.letters()) == (3, [])


async def test_through_the_runner_and_again() -> None:
    async with world() as w:
        await w.log.append(ANOMALIES, [_record(0), _record(1)])
        await run(w, 2)
        assert await w.log.committed(ANOMALIES, "alert") == {0: 2}
        await w.log.append(ANOMALIES, [_record(2)])
        await run(w, 3)
        assert [a.device for a in w.told.alerts] == ["d0", "d1", "d2"]


def _record(n: int) -> Record:
    from telemetry.anomaly import encode

    one = anomaly(0, device=f"d{n}")
    return Record(one.device, encode(one))
