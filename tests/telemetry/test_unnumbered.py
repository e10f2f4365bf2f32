"""Identities made of content."""

from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import SEQ_MAX, TIME_NS_MAX, Series, is_name
from telemetry.unnumbered import DAY_S, batch_of, is_unnumbered, second_of

times = st.integers(0, TIME_NS_MAX)


def light(t: int, lux: float = 1.0) -> Series:
    return Series.of("light", [t], {"illuminance": [lux]})


@given(times, st.text(max_size=80))
def test_any_time_and_node_give_an_identity(t: int, node: str) -> None:
    batch = batch_of("d", "senml", [light(t)], node)
    assert is_name(batch.session)
    assert is_unnumbered(batch.seq)
    assert batch.seq <= SEQ_MAX
    assert second_of(batch.seq) == t // 10**9 % DAY_S


@given(times, times)
def test_within_a_day_a_later_second_is_a_higher_seq(a: int, b: int) -> None:
    one, other = batch_of("d", "p", [light(a)]), batch_of("d", "p", [light(b)])
    if one.session == other.session and a // 10**9 < b // 10**9:
        assert one.seq < other.seq


@given(st.lists(st.text("ab:._-/é", min_size=1, max_size=60), min_size=2, max_size=2, unique=True))
def test_two_nodes_are_two_sessions(nodes: list[str]) -> None:
    one, other = (batch_of("d", "senml", [light(0)], node).session for node in nodes)
    assert one != other


def test_a_node_stays_readable() -> None:
    assert batch_of("d", "senml", [light(0)], "urn:dev:ow:10e2").session == "senml-1970-01-01-urn_dev_ow_10e2"
    assert batch_of("d", "senml", [light(0)], "kitchen").session == "senml-1970-01-01-kitchen"
    assert batch_of("d", "senml", [light(0)]).session == "senml-1970-01-01"


def test_ten_thousand_of_one_second_have_identities_of_their_own() -> None:
    assert len({batch_of("d", "p", [light(5, k)]).seq for k in range(10_000)}) == 10_000


def test_the_newest_reading_says_the_day() -> None:
    day_ns = DAY_S * 10**9
    assert batch_of("d", "p", [light(day_ns), light(day_ns - 1)]).session == "p-1970-01-02"
