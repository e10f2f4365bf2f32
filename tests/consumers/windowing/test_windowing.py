"""Windows against an oracle that looks at one row after the other; the cut and the order of rows change no bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.features import Features
from consumers.windowing import (
    EPOCH_REVISIONS,
    STEP_ROWS,
    Left,
    Patience,
    Shape,
    Stream,
    checked,
    session,
    sliding,
    tumbling,
)
from telemetry.errors import Misconfigured
from tests.consumers.windowing.oracle import Keeper, S, aligned, run, sessions

FEATURES = Features("acceleration")
DAY = 86_400 * S
T0 = 1_763_800_000 * S
ALIGNED = (tumbling(S), tumbling(3 * S), sliding(4 * S, 2 * S))
NEVER_LATE = Patience(0, 10**6 * S)

# rows a few tenths of a second apart, some a long gap later, jittered so that some are late and some too late
STEPS_MS = st.lists(st.sampled_from([0, 40, 90, 250, 700, 2_500]), min_size=1, max_size=60)
JITTER_MS = st.lists(st.sampled_from([0, 0, 0, -300, -900, -2_600]), min_size=60, max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=8)
PATIENCE = st.sampled_from([Patience(0, 0), Patience(0, 2 * S), Patience(S, S // 2), Patience(0, 10 * S)])


def stream(shapes: tuple[Shape, ...] = ALIGNED, patience: Patience = NEVER_LATE) -> Stream:
    return Stream(FEATURES, shapes, patience)


def times(steps_ms: list[int], jitter_ms: list[int]) -> np.ndarray:
    t = np.cumsum(steps_ms) + np.array(jitter_ms[: len(steps_ms)])
    return (T0 + t * 1_000_000).astype(np.int64)


def values(n: int) -> np.ndarray:
    rows = np.random.default_rng(n).normal(9.8, 3.0, (n, 3)).astype(np.float32).astype(np.float64)
    rows[::7, 1] = np.nan
    return rows


def fit(cuts: list[int], n: int) -> list[int]:
    return [c for c in cuts if c < n]


@given(STEPS_MS, JITTER_MS, CUTS, PATIENCE)
def test_tumbling_and_sliding_windows_are_the_oracles(
    steps: list[int], jitter: list[int], cuts: list[int], patience: Patience
) -> None:
    t = times(steps, jitter)
    x = values(len(t))
    expected, too_late = aligned(t.tolist(), ALIGNED, patience)
    made = stream(patience=patience)
    if too_late >= STEP_ROWS:
        return  # perhaps a step: a test of its own
    keeper = run(made, t, x, fit(cuts, len(t)))
    odd = sum(made.left.values()) - too_late
    assert odd <= 0  # rows that were too late until the end began an epoch of their own
    kept = {key: one for key, one in keeper.kept.items() if one.revision < EPOCH_REVISIONS}
    if odd == 0:
        assert {key: (one.revision, one.count) for key, one in kept.items()} == {
            key: (window.revision, len(window.rows)) for key, window in expected.items()
        }
    for key in kept.keys() & expected.keys():
        rows = x[expected[key].rows]
        said = keeper.features(FEATURES, key)
        assert said["x_min"] == rows[:, 0].min()
        assert said["x_max"] == rows[:, 0].max()
        assert said["x_mean"] == pytest.approx(rows[:, 0].mean(), rel=1e-12)
        assert said["x_std"] == pytest.approx(rows[:, 0].std(), rel=1e-9, abs=1e-12)
        assert said["x_rms"] == pytest.approx(np.sqrt((rows[:, 0] ** 2).mean()), rel=1e-12)
        assert said["y_count"] == np.count_nonzero(~np.isnan(rows[:, 1]))


@settings(max_examples=60)
@given(STEPS_MS, JITTER_MS, CUTS, PATIENCE)
def test_how_batches_were_cut_changes_no_bit(
    steps: list[int], jitter: list[int], cuts: list[int], patience: Patience
) -> None:
    """Revisions included: of all kinds of windows, with late rows, bridges and steps."""
    t = times(steps, jitter)
    t[len(t) // 2 :] -= 40 * S  # a step back in the middle
    x, shapes = values(len(t)), (*ALIGNED, session(S))
    whole = stream(shapes, patience)
    cut = stream(shapes, patience)
    rows = stream(shapes, patience)
    expected = run(whole, t, x, [])
    assert run(cut, t, x, fit(cuts, len(t))).kept == expected.kept
    assert run(rows, t, x, list(range(1, len(t)))).kept == expected.kept
    assert whole.left == cut.left == rows.left


@given(STEPS_MS, st.randoms(use_true_random=False), CUTS)
def test_within_the_lateness_the_order_of_rows_changes_no_bit_of_any_feature(
    steps: list[int], random: object, cuts: list[int]
) -> None:
    t = times(steps, [0] * 60)
    x = values(len(t))
    shapes = (*ALIGNED, session(S))
    order = list(range(len(t)))
    random.shuffle(order)  # type: ignore[attr-defined]

    def content(keeper: Keeper) -> dict[object, object]:
        return {key: (one.end_ns, one.count, one.summary) for key, one in keeper.kept.items() if one.count}

    assert content(run(stream(shapes), t, x, [])) == content(run(stream(shapes), t[order], x[order], fit(cuts, len(t))))


@given(STEPS_MS, JITTER_MS, CUTS, PATIENCE)
def test_session_windows_are_the_oracles(
    steps: list[int], jitter: list[int], cuts: list[int], patience: Patience
) -> None:
    t = times(steps, jitter)
    _, too_late = aligned(t.tolist(), [], patience)
    if too_late:
        return
    for gap in (S // 2, 2 * S):
        keeper = run(stream((session(gap),), patience), t, values(len(t)), fit(cuts, len(t)))
        kept = sorted((key[2], one.end_ns, one.count) for key, one in keeper.kept.items() if one.count)
        assert kept == sessions(t.tolist(), gap)


@given(STEPS_MS, JITTER_MS, CUTS, PATIENCE, st.integers(0, 60))
def test_frozen_after_any_prefix_it_goes_on_alike(
    steps: list[int], jitter: list[int], cuts: list[int], patience: Patience, at: int
) -> None:
    t = times(steps, jitter)
    t[len(t) // 2 :] -= 40 * S
    x, shapes, at = values(len(t)), (*ALIGNED, session(S)), min(at, len(t))
    first, keeper = stream(shapes, patience), Keeper()
    keeper.take(first.add(t[:at], x[:at], in_turn=True))
    head, arrays = first.freeze()
    second = stream(shapes, patience)
    second.thaw(head, arrays)
    again_head, again = second.freeze()
    assert again_head == head
    assert {name: array.tobytes() for name, array in again.items()} == {n: a.tobytes() for n, a in arrays.items()}
    run(second, t[at:], x[at:], fit(cuts, len(t) - at), keeper)
    assert keeper.kept == run(stream(shapes, patience), t, x, []).kept


def rows(*seconds: float) -> tuple[np.ndarray, np.ndarray]:
    t = np.array([T0 + round(s * S) for s in seconds], np.int64)
    return t, np.ones((len(t), 3))


def starts(keeper: Keeper) -> dict[float, tuple[int, int]]:
    """Seconds -> (count, revision)."""
    return {(key[2] - T0) / S: (one.count, one.revision) for key, one in keeper.kept.items()}


def test_a_window_is_written_when_the_watermark_passes_its_end_and_again_when_a_late_row_changes_it() -> None:
    made, keeper = stream((tumbling(S),), Patience(0, 2 * S)), Keeper()
    keeper.take(made.add(*rows(0.1, 0.9), in_turn=True))
    assert keeper.kept == {}
    keeper.take(made.add(*rows(1.0), in_turn=True))
    assert starts(keeper) == {0: (2, 0)}
    keeper.take(made.add(*rows(0.95, 2.5), in_turn=True))
    assert starts(keeper) == {0: (3, 1), 1: (1, 0)}
    writes = keeper.writes
    keeper.take(made.add(*rows(0.4, 2.6), in_turn=True))
    assert made.left == {Left.TOO_LATE: 1}
    assert keeper.writes == writes


def test_a_delayed_watermark_waits() -> None:
    made, keeper = stream((tumbling(S),), Patience(S, 0)), Keeper()
    keeper.take(made.add(*rows(0.1, 1.9, 0.95), in_turn=True))
    assert keeper.kept == {}
    keeper.take(made.add(*rows(2.0), in_turn=True))
    assert starts(keeper) == {0: (2, 0)}


@pytest.mark.parametrize("step_s", [-3 * 86_400, -60, 3 * 86_400])
def test_a_clock_that_steps_does_not_silence_it(step_s: int) -> None:
    made, keeper = stream((tumbling(S),), Patience(0, 5 * S)), Keeper()
    before, after = np.arange(0, 20, 0.25), np.arange(20, 40, 0.25) + step_s
    for second in np.concatenate((before, after)).reshape(-1, 4):
        keeper.take(made.add(*rows(*second), in_turn=True))
    assert 38 + step_s in starts(keeper)  # as they come, not only at the end
    keeper.take(made.end())
    assert made.left == {}
    assert {start: count for start, (count, _) in starts(keeper).items()} == dict.fromkeys(
        [*range(20), *range(20 + step_s, 40 + step_s)], 4
    )


def test_the_same_time_passed_again_after_a_step_replaces_what_was_there() -> None:
    made, keeper = stream((tumbling(S),), Patience(0, 2 * S)), Keeper()
    keeper.take(made.add(*rows(*np.arange(0, 20, 0.5)), in_turn=True))
    keeper.take(made.add(*rows(*np.arange(10, 15, 0.25)), in_turn=True))
    keeper.take(made.end())
    assert starts(keeper)[9] == (2, 0)
    assert starts(keeper)[12] == (4, EPOCH_REVISIONS)


def test_a_stray_row_is_no_step() -> None:
    made, keeper = stream((tumbling(S),), Patience(0, 2 * S)), Keeper()
    keeper.take(made.add(*rows(0.0, 0.5, 10.0, 10.2, 0.7, 10.4, 0.8, 10.6, 11.0), in_turn=True))
    assert made.left == {Left.TOO_LATE: 2}
    assert starts(keeper) == {0: (2, 0), 10: (4, 0)}


def test_a_row_out_of_turn_moves_no_watermark_and_begins_no_epoch() -> None:
    made, keeper = stream((tumbling(S),), Patience(0, 2 * S)), Keeper()
    keeper.take(made.add(*rows(10.0, 10.5), in_turn=True))
    keeper.take(made.add(*rows(*[1.0] * 20, 9.5, 11.5, 500.0), in_turn=False))
    assert made.left == {Left.TOO_LATE: 20, Left.AHEAD: 1}
    assert starts(keeper) == {9: (1, 1)}
    keeper.take(made.add(*rows(11.0, 12.0), in_turn=True))
    assert starts(keeper) == {9: (1, 1), 10: (2, 0), 11: (2, 0)}


def test_what_comes_after_a_flush_makes_a_revision() -> None:
    made, keeper = stream((tumbling(10 * S), session(2 * S)), Patience(0, 2 * S)), Keeper()
    keeper.take(made.add(*rows(0.0, 1.0), in_turn=True))
    assert made.is_open
    keeper.take(made.flush())
    assert not made.is_open
    assert starts(keeper) == {0: (2, 0)}
    assert made.flush() == []
    keeper.take(made.add(*rows(2.0, 10.5), in_turn=True))
    assert keeper.kept["tumbling", 10 * S, T0].count == 3
    assert keeper.kept["tumbling", 10 * S, T0].revision == 1
    assert keeper.kept["session", 0, T0].count == 3
    assert keeper.kept["session", 0, T0].revision == 1


def test_a_late_row_that_bridges_two_session_windows_withdraws_the_absorbed_one() -> None:
    made, keeper = stream((session(S),), Patience(0, 60 * S)), Keeper()
    keeper.take(made.add(*rows(0.0, 0.5, 1.8, 2.0, 9.0), in_turn=True))
    assert starts(keeper) == {0: (2, 0), 1.8: (2, 0)}
    keeper.take(made.add(*rows(1.2), in_turn=True))
    assert starts(keeper) == {0: (5, 1), 1.8: (0, 1)}
    keeper.take(made.add(*rows(-0.5), in_turn=True))
    assert starts(keeper) == {-0.5: (6, 0), 0: (0, 2), 1.8: (0, 1)}


def test_more_rows_than_are_kept_are_summarised() -> None:
    n = 50_000
    t = T0 + np.arange(n, dtype=np.int64) * (S // n)
    x = np.random.default_rng(1).normal(1000.0, 1.0, (n, 3))
    for shape in (tumbling(S), session(S)):
        made = stream((shape,), Patience(0, 10 * S))
        made.add(t, x, in_turn=True)
        _, arrays = made.freeze()
        assert sum(array.nbytes for array in arrays.values()) < 30 * 1024
        keeper = run(made, t[:0], x[:0], [])
        key = next(iter(keeper.kept))
        said, wide = keeper.features(FEATURES, key), x.astype(np.float32).astype(np.float64)
        assert keeper.kept[key].count == n
        assert said["x_min"] == wide[:, 0].min()
        assert said["x_mean"] == pytest.approx(wide[:, 0].mean(), rel=1e-12)
        assert said["x_std"] == pytest.approx(wide[:, 0].std(), rel=1e-9)
        assert run(stream((shape,), Patience(0, 10 * S)), t, x, [3, 1023, 1024, 1025, 20_000]).kept == keeper.kept


def test_state_stays_bounded_however_long_a_stream_is() -> None:
    made = stream((tumbling(S), sliding(10 * S, S), session(30 * S)), Patience(0, 5 * S))
    sizes = []
    for second in range(200):
        t = T0 + second * S + np.arange(100, dtype=np.int64) * 10_000_000
        made.add(t, values(100), in_turn=True)
        sizes.append(sum(array.nbytes for array in made.freeze()[1].values()))
    assert max(sizes[100:]) <= max(sizes[50:100]) * 1.01
    assert max(sizes) < 40 * 1024


def test_a_long_gap_costs_no_time_and_no_room() -> None:
    made, keeper = stream((tumbling(S), sliding(60 * S, S)), Patience(0, 5 * S)), Keeper()
    for years in range(60):
        keeper.take(made.add(*rows(0.5 + years * 365 * 86_400), in_turn=True))
    assert len(keeper.kept) == 59 * 61
    assert len(made.freeze()[0]["parts"][0]["panes"]) == 1


def test_rows_dated_beyond_what_can_be_are_left_out_by_name() -> None:
    made, keeper = stream((tumbling(S),), Patience(0, 5 * S)), Keeper()
    t = np.array([2**63 - 1, -(2**63), T0, T0 + S], np.int64)
    keeper.take(made.add(t, np.ones((4, 3)), in_turn=True))
    assert made.left == {Left.TIME: 2}
    assert starts(keeper) == {0: (1, 0)}


@pytest.mark.parametrize(
    "shapes",
    [
        [tumbling(3600 * S), sliding(3600 * S, 100_000_001)],
        [tumbling(1_000_000)],
        [session(1_000_000)],
        [session(S), session(2 * S)],
        [sliding(60 * S, S), sliding(60 * S, 2 * S)],
    ],
)
def test_windows_that_would_need_too_much_or_cannot_be_told_apart_are_refused(shapes: list[Shape]) -> None:
    with pytest.raises(Misconfigured):
        checked(shapes, Patience(0, 60 * S))
