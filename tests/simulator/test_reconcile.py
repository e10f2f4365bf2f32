"""Each figure rises for its own reason and for no other."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.ledger import End, Handed
from simulator.reconcile import Found, Report, Stored, Summarised, reconcile
from telemetry.batch import BatchId

A, B = BatchId("d", "s", 0), BatchId("d", "s", 1)


def figures(report: Report) -> tuple[int, int, int, int]:
    return report.lost_acked, report.dup_stored, report.corrupt, report.unaccounted


def acked(id_: BatchId = A) -> Handed:
    return Handed(id_, "h", 600, End.ACKNOWLEDGED)


def test_all_is_well() -> None:
    report = reconcile([acked(A), acked(B)], Found({A: Stored("h", 600), B: Stored("h", 600)}))
    assert figures(report) == (0, 0, 0, 0)
    assert (report.sent, report.stored, report.generated, report.batches) == (1200, 1200, 1200, 2)
    assert report.is_clean


def test_what_is_summarised_is_counted_by_itself() -> None:
    report = reconcile([acked(A), acked(B)], Found({B: Stored("h", 600)}, summarised={A: Summarised("h", 600)}))
    assert (report.sent, report.stored, report.summarised, report.generated) == (1200, 600, 600, 1200)


@pytest.mark.parametrize(
    ("handed", "found", "expected"),
    [
        ([acked()], Found(), (600, 0, 0, 600)),
        ([acked()], Found({A: Stored("?", 599)}), (1, 0, 0, 1)),
        ([acked()], Found({A: Stored("h", 600, 2)}), (0, 2, 0, 0)),
        ([acked()], Found({A: Stored("other", 600)}), (0, 0, 600, 0)),
        ([acked()], Found({A: Stored("other", 601)}), (0, 0, 601, 0)),
        ([acked()], Found({A: Stored("h", 600), B: Stored("h", 7)}), (0, 0, 7, 0)),
        ([acked()], Found(expired={A: 600}), (0, 0, 0, 0)),
        ([acked()], Found({A: Stored("?", 100)}, expired={A: 500}), (0, 0, 0, 0)),
        ([acked()], Found({A: Stored("?", 100)}, expired={A: 400}), (100, 0, 0, 100)),
        ([acked()], Found(dead_lettered={A}), (0, 0, 0, 0)),
        ([acked()], Found(dead_lettered={B}), (600, 0, 0, 600)),
        ([acked()], Found(summarised={A: Summarised("h", 600)}), (0, 0, 0, 0)),
        ([acked()], Found(summarised={A: Summarised("h", 599)}), (1, 0, 0, 1)),
        ([acked()], Found(summarised={A: Summarised("h", 500)}, expired={A: 100}), (0, 0, 0, 0)),
        ([acked()], Found(summarised={A: Summarised("other", 600)}), (0, 0, 600, 0)),
        ([acked()], Found(summarised={A: Summarised("h", 601)}), (0, 0, 601, 0)),
        ([acked()], Found(summarised={A: Summarised("h", 600), B: Summarised("h", 7)}), (0, 0, 7, 0)),
        ([acked()], Found({A: Stored("h", 600)}, summarised={A: Summarised("h", 600)}), (0, 600, 0, 0)),
        ([acked(A), acked(B)], Found({B: Stored("h", 600)}, summarised={A: Summarised("h", 600)}), (0, 0, 0, 0)),
        ([Handed(A, "h", 600, End.UNSENT)], Found(), (0, 0, 0, 0)),
        ([Handed(A, "h", 600, End.UNSENT)], Found({A: Stored("h", 600)}), (0, 0, 0, 0)),
        ([Handed(A, "h", 600, End.UNSENT)], Found({A: Stored("other", 600)}), (0, 0, 600, 0)),
        ([Handed(A, "h", 600, End.SET_ASIDE, "422")], Found(), (0, 0, 0, 0)),
        ([Handed(A, "h", 600, End.DROPPED, "full")], Found(), (0, 0, 0, 0)),
        ([Handed(A, "h", 600)], Found(), (0, 0, 0, 600)),
        ([Handed(A, "h", 600)], Found({A: Stored("h", 600)}), (0, 0, 0, 0)),
    ],
)
def test_each_figure(handed: Sequence[Handed], found: Found, expected: tuple[int, int, int, int]) -> None:
    report = reconcile(handed, found)
    assert figures(report) == expected
    assert report.is_clean == (expected == (0, 0, 0, 0))


@given(
    st.lists(
        st.tuples(st.sampled_from([None, *End]), st.integers(0, 12), st.booleans(), st.integers(0, 12), st.booleans()),
        max_size=30,
    )
)
def test_every_reading_is_counted_once(cases: list[tuple[End | None, int, bool, int, bool]]) -> None:
    handed, stored, expired, dead = [], {}, {}, set()
    for seq, (end, rows, is_intact, gone, is_dead) in enumerate(cases):
        id_ = BatchId("d", "s", seq)
        handed.append(Handed(id_, "h", 10, end))
        if rows:
            stored[id_] = Stored("h" if is_intact else "other", rows)
        expired[id_] = gone
        if is_dead:
            dead.add(id_)
    report = reconcile(handed, Found(stored, expired, dead))
    corrupt_of_known = sum(10 for h in handed if h.id in stored and _is_corrupt(h, stored[h.id]))
    ends = (report.expired, report.dead_lettered, report.set_aside, report.dropped, report.unsent, report.unaccounted)
    assert report.stored + sum(ends) + corrupt_of_known == report.generated == 10 * len(cases)


def _is_corrupt(handed: Handed, stored: Stored) -> bool:
    return stored.rows > handed.readings or (stored.rows == handed.readings and stored.content_hash != "h")


def test_reports_add_up() -> None:
    total = Report(wait_s=1.0)
    total += reconcile([acked(A)], Found({A: Stored("h", 600)}))
    total += reconcile([acked(B)], Found())
    assert (total.sent, total.stored, total.lost_acked, total.batches, total.wait_s) == (1200, 600, 600, 2, 1.0)
    assert set(total.to_dict()) >= {"sent", "stored", "lost_acked", "dup_stored", "corrupt", "unaccounted"}
