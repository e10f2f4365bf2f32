"""Hundreds of seeded worlds in which everything fails, and broken parts that these worlds must find out.

SENSORLINE_SEED=17 .venv/bin/pytest -q tests/journey/test_simulation.py -k one_seed    one world alone
SENSORLINE_SEEDS=20000 .venv/bin/pytest -q tests/journey/test_simulation.py -k worlds  a long search
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.completeness import apply
from tests.journey.simulation.broken import BROKEN
from tests.journey.simulation.chance import Violation
from tests.journey.simulation.world import simulate

CHUNKS = 8
SEEDS = int(os.environ.get("SENSORLINE_SEEDS", "200"))
ONE = os.environ.get("SENSORLINE_SEED")
FOUND_WITHIN = 60  # worlds
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of warnings, each about a fault that was asked for."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.skipif(ONE is not None, reason="SENSORLINE_SEED asks for one world")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_worlds(chunk: int) -> None:
    """Nothing acknowledged is lost, doubled or altered in any of them, and every figure is right."""
    outcomes = [simulate(seed) for seed in range(chunk, SEEDS, CHUNKS)]
    assert sum(o.batches for o in outcomes) > 10 * len(outcomes)
    assert any(o.duplicates for o in outcomes)
    assert any(o.crashes for o in outcomes)
    assert any(o.power_cuts for o in outcomes)


def test_one_seed_takes_the_same_way_every_time() -> None:
    """The one that SENSORLINE_SEED names: a failure can be looked at again and again, in any process."""
    seed = int(ONE or "4")
    first, again = simulate(seed), simulate(seed)
    assert first.trace == again.trace
    assert len(first.trace) > 100
    elsewhere = f"from tests.journey.simulation.world import simulate; print(simulate({seed}).digest)"
    done = subprocess.run(
        [sys.executable, "-c", elsewhere],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
    )
    assert done.stdout.strip() == first.digest


@pytest.mark.skipif(ONE is not None, reason="SENSORLINE_SEED asks for one world")
@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_is_found(mistake: str) -> None:
    """A broken part is caught within a few worlds, and the failure says how to see it again."""
    with pytest.raises(Violation, match=r"seed \d+: .*") as caught:
        for seed in range(FOUND_WITHIN):
            simulate(seed, BROKEN[mistake])
    assert "SENSORLINE_SEED=" in str(caught.value)
    assert "the trace ends" in str(caught.value)


@pytest.mark.skipif(ONE is not None, reason="SENSORLINE_SEED asks for one world")
def test_a_ledger_that_counts_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset that a session's document carries is what keeps a crash from counting twice."""

    def forgetful(state: Any, *rest: Any) -> Any:
        from dataclasses import replace

        return apply(state and replace(state, next_offset=0), *rest)

    monkeypatch.setattr("consumers.completeness.apply", forgetful)
    with pytest.raises(Violation, match="completeness"):
        for seed in range(FOUND_WITHIN):
            simulate(seed)
