"""Hundreds of seeded worlds in which everything fails, and broken parts that these worlds must find out.

    SENSORLINE_SEED=17 .venv/bin/pytest -q tests/journey/test_simulation.py -k one_seed    one world alone
    SENSORLINE_SEEDS=20000 .venv/bin/pytest -q tests/journey/test_simulation.py -k worlds  a long search
"""

import os

import pytest

from tests.journey.simulation.world import simulate

CHUNKS = 8
SEEDS = int(os.environ.get("SENSORLINE_SEEDS", "240"))
ONE = os.environ.get("SENSORLINE_SEED")


@pytest.mark.skipif(ONE is not None, reason="SENSORLINE_SEED asks for one world")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_worlds(chunk: int) -> None:
    """Nothing acknowledged is lost, doubled or altered in any of them."""
    outcomes = [simulate(seed) for seed in range(chunk, SEEDS, CHUNKS)]
    assert sum(o.batches for o in outcomes) > 10 * len(outcomes)
    assert any(o.duplicates for o in outcomes)
    assert any(o.crashes for o in outcomes)


def test_one_seed_takes_the_same_way_every_time() -> None:
    """The one that SENSORLINE_SEED names: a failure can be looked at again and again."""
    seed = int(ONE or "4")
    first, again = simulate(seed), simulate(seed)
    assert first.trace == again.trace
    assert len(first.trace) > 100
