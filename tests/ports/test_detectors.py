"""What every detector promises, over every detector there is; River's own estimator checks among it."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks, compose, datasets, preprocessing

from consumers import detectors
from consumers.detectors import HIT, Detector, Floats, Times, Verdict
from telemetry import adapters
from tests.ports.detectors_builders import BUILDERS, Builder

NAMES = adapters.names("consumers.detectors")
ROWS = 5000
every_detector = pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.name)


def made(builder: Builder) -> Detector:
    return detectors.make(builder.name, builder.fields)


def judge(detector: Detector, t_ns: Times, values: Floats, cuts: list[int]) -> Verdict:
    """In pieces that end at `cuts`; the hits' rows count through."""
    scores, hits = [], []
    for first, last in itertools.pairwise([0, *cuts, len(t_ns)]):
        verdict = detector.update(t_ns[first:last], values[first:last])
        moved = verdict.hits.copy()
        moved["row"] += first
        scores.append(verdict.score)
        hits.append(moved)
    return Verdict(np.concatenate(scores), np.concatenate(hits))


def same(a: Verdict, b: Verdict) -> bool:
    return a.score.tobytes() == b.score.tobytes() and a.hits.tobytes() == b.hits.tobytes()


def frozen(detector: Detector) -> list[tuple[str, str, bytes]]:
    return sorted((name, array.dtype.str, array.tobytes()) for name, array in detector.state().items())


def test_every_detector_is_in_the_suite() -> None:
    assert {b.name for b in BUILDERS} == set(NAMES), "add yours to tests/ports/detectors_builders.py"


@every_detector
def test_it_finds_what_is_unmistakable_and_little_else(builder: Builder) -> None:
    t_ns, values, labels = builder.stream(1, ROWS)
    alarms = np.unique(made(builder).update(t_ns, values).hits["row"])
    tail = 60 if builder.name == "channels" else 600 if len(builder.fields) == 10 else 3
    missed = [(a, b) for a, b in labels if not ((alarms >= a) & (alarms <= b + 50)).any()]
    beside = [r for r in alarms if not any(a <= r <= b + tail for a, b in labels)]
    assert len(missed) <= len(labels) // 5, (missed, labels)
    assert len(beside) <= ROWS // 500


@every_detector
def test_score_and_hits_say_the_same(builder: Builder) -> None:
    t_ns, values, _ = builder.stream(2, ROWS)
    detector = made(builder)
    verdict = detector.update(t_ns, values)
    hits = verdict.hits
    assert hits.dtype == HIT and len(verdict.score) == ROWS
    assert np.isfinite(verdict.score).all() and (verdict.score >= 0).all()
    assert np.array_equal(np.unique(hits["row"]), np.flatnonzero(verdict.score >= 1))
    assert (np.diff(hits["row"]) >= 0).all()
    assert len(np.unique(hits[["row", "kind"]])) == len(hits), "a kind twice at one row"
    assert (hits["score"] >= 1).all()
    assert set(hits["kind"]) <= set(range(len(detector.KINDS)))
    assert set(hits["feature"]) <= set(range(len(detector.features())))
    assert (hits["since_ns"] <= t_ns[hits["row"]]).all()
    for name in ("score", "seen", "low", "high"):
        assert np.isfinite(hits[name]).all(), name
    assert (hits["low"] <= hits["high"]).all()


@every_detector
@settings(max_examples=12)
@given(data=st.data())
def test_where_rows_are_cut_does_not_matter(builder: Builder, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 5))
    t_ns, values, _ = builder.stream(seed, ROWS)
    cuts = sorted(data.draw(st.lists(st.integers(0, ROWS), max_size=40)))
    whole, pieces = made(builder), made(builder)
    assert same(judge(whole, t_ns, values, []), judge(pieces, t_ns, values, cuts))
    assert frozen(whole) == frozen(pieces)


@every_detector
def test_a_restored_state_goes_on_bit_for_bit(builder: Builder) -> None:
    t_ns, values, _ = builder.stream(3, ROWS)
    straight = made(builder)
    straight.update(t_ns[:3100], values[:3100])
    saved = {name: array.copy() for name, array in straight.state().items()}
    expected = straight.update(t_ns[3100:], values[3100:])
    restored = made(builder)
    restored.restore(saved)
    assert same(restored.update(t_ns[3100:], values[3100:]), expected)
    assert frozen(restored) == frozen(straight)


@every_detector
def test_rivers_form_gives_what_columns_give(builder: Builder) -> None:
    t_ns, values, _ = builder.stream(4, 2600)
    columns, rows = made(builder), made(builder)
    expected = columns.update(t_ns, values).score
    begin = len(t_ns) - 150
    rows.update(t_ns[:begin], values[:begin])
    for k in range(begin, len(t_ns)):
        x = dict(zip(builder.fields, values[k].tolist(), strict=True)) | {"t": (t_ns[k] - t_ns[0]) / 1e9}
        moved = {"t": x["t"] + t_ns[0] / 1e9} | {name: x[name] for name in builder.fields}
        before = frozen(rows)
        assert math.isclose(rows.score_one(moved), expected[k], rel_tol=1e-3, abs_tol=1e-6)
        assert frozen(rows) == before, "score_one must not learn"
        rows.learn_one(moved)


@every_detector
def test_the_state_does_not_grow(builder: Builder) -> None:
    detector = made(builder)
    sizes = []
    for seed in range(4):
        t_ns, values, _ = builder.stream(seed, 3000)
        detector.update(t_ns + seed * 10**13, values)
        sizes.append(detector.state_size_bytes)
    assert sizes[-1] == sizes[0] <= builder.state_kib_max * 1024


def _odd(fields: int) -> Iterator[tuple[str, Times, Floats]]:
    rows = 3000
    steady = (np.arange(rows) * 20_000_000).astype(np.int64)
    random = np.random.default_rng(7)
    noise = random.normal(size=(rows, fields))
    yield "constant", steady, np.full((rows, fields), 5.0)
    yield "zero", steady, np.zeros((rows, fields))
    yield "absent", steady, np.full((rows, fields), np.nan)
    yield "huge", steady, noise * 1e300
    yield "largest", steady, np.where(noise > 0, 1.0, -1.0) * 1.7e308
    yield "tiny", steady, noise * 1e-300
    yield "infinite", steady, np.where(noise > 2, np.inf, noise)
    yield "same time", np.zeros(rows, np.int64), noise
    yield "backwards", steady[::-1].copy(), noise
    yield "integers", steady, np.round(noise)
    yield "a long pause in each row", (np.arange(rows) * 86_400 * 10**9).astype(np.int64), noise
    yield "one row", steady[:1], noise[:1]
    yield "no row", steady[:0], noise[:0]


@every_detector
def test_odd_streams_give_no_storm_no_nan_and_no_error(builder: Builder) -> None:
    for name, t_ns, values in _odd(len(builder.fields)):
        verdict = made(builder).update(t_ns, values)
        assert np.isfinite(verdict.score).all(), name
        for column in ("score", "seen", "low", "high"):
            assert np.isfinite(verdict.hits[column]).all(), (name, column)
        stretches = 1 + int((np.diff(np.unique(verdict.hits["row"])) > 1).sum()) if len(verdict.hits) else 0
        assert stretches <= 8, (name, stretches)


@every_detector
def test_a_young_stream_raises_few_alarms(builder: Builder) -> None:
    opened = 0
    for seed in range(10):
        t_ns, values, labels = builder.stream(seed, 600)
        assert not labels
        rows = np.unique(made(builder).update(t_ns, values).hits["row"])
        opened += int((np.diff(rows) > 1).sum()) + 1 if len(rows) else 0
    assert opened <= 24, "of 6,000 rows, all of them a stream's first 600: much is new to who has seen little"


class _Generated:
    """In the place of a dataset that would be downloaded: 1,000 rows and more, with labels."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def take(self, rows: int) -> Iterator[tuple[dict[str, float], int]]:
        t_ns, values, labels = self._builder.stream(8, max(rows, 3000))
        labelled = np.zeros(len(t_ns), int)
        for first, last in labels:
            labelled[first : last + 1] = 1
        begin = max(0, (labels[0][0] if labels else 0) - rows // 2)
        for k in range(begin, min(begin + rows, len(t_ns))):
            x = {n: float(v) for n, v in zip(self._builder.fields, values[k], strict=True) if not math.isnan(v)}
            yield x, int(labelled[k])


@every_detector
def test_rivers_estimator_checks(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "CreditCard", lambda: _Generated(builder))
    model = made(builder)
    ran = 0
    for check in checks.yield_checks(model):
        if check.__name__ in model._unit_test_skips():
            continue
        check(model.clone())
        ran += 1
    assert ran > 20


@every_detector
def test_it_stands_at_the_end_of_a_river_pipeline(builder: Builder) -> None:
    model: Any = compose.Pipeline(preprocessing.StandardScaler(), made(builder))
    for x, _ in itertools.islice(_Generated(builder).take(100), 100):
        assert model.score_one(x) >= 0
        model.learn_one(x)
