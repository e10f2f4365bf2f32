"""The careful rules: what the columns of any sensor do by nature is no fault, and a plain fault is one."""

from collections.abc import Callable

import numpy as np
import pytest

from consumers.detectors import Floats, Times, health

N = 30_000
S = 10**9
FAULT = 20_000

Rng = np.random.Generator


def found(values: Floats, t_ns: Times | None = None) -> list[tuple[str, int]]:
    """(kind, first row) of every stretch of hits."""
    times = np.arange(len(values), dtype=np.int64) * S if t_ns is None else t_ns
    hits = health.Detector(("celsius",)).update(times, values.reshape(len(times), -1)).hits
    stretches, last = [], dict.fromkeys(health.KINDS, -1000)
    for hit in hits:
        kind = health.KINDS[hit["kind"]]
        if hit["row"] - last[kind] > 100:
            stretches.append((kind, int(hit["row"])))
        last[kind] = hit["row"]
    return stretches


def temperature(rng: Rng) -> Floats:
    """A tenth of a degree is its step: it stays equal for many minutes."""
    return np.round(20 + 5 * np.sin(np.arange(N) / 14_000) + rng.normal(0, 0.02, N), 1)


BENIGN: dict[str, Callable[[Rng], Floats]] = {
    "temperature": temperature,
    "battery": lambda rng: np.round(100 - np.arange(N) / 700.0),
    "counter": lambda rng: np.cumsum(rng.poisson(0.3, N)).astype(float),
    "counter that pauses": lambda rng: np.cumsum(rng.integers(0, 3, N) * (np.arange(N) % 5000 < 2500)).astype(float),
    "switch": lambda rng: np.cumsum(rng.random(N) < 0.005) % 2.0,
    "rain": lambda rng: np.where(np.arange(N) // 5000 % 2 == 1, rng.exponential(1, N), 0.0),
    "noise": lambda rng: rng.normal(size=N),
    "heavy tails": lambda rng: rng.standard_t(2, N),
    "load": lambda rng: rng.lognormal(0, 1.5, N),
    "wander": lambda rng: np.cumsum(rng.normal(size=N)),
    "bearing": lambda rng: np.cumsum(rng.normal(0, 20, N)) % 360,
    "constant": lambda rng: np.full(N, 1e300),
    "huge": lambda rng: rng.normal(size=N) * 1e300,
}


@pytest.mark.parametrize("name", BENIGN)
def test_what_a_column_does_by_nature_is_no_fault(name: str) -> None:
    assert found(BENIGN[name](np.random.default_rng(5))) == []


GAPS: dict[str, Callable[[Rng], Floats]] = {
    "events": lambda rng: rng.exponential(10, N),
    "heavy gaps": lambda rng: rng.pareto(1.2, N) + 0.01,
    "uneven gaps": lambda rng: rng.lognormal(0, 2, N),
    "bursts of ten": lambda rng: np.where(np.arange(N) % 10 == 0, 59.8, 0.02),
    "fifty rows a second with one time": lambda rng: (np.arange(N) % 50 == 0) * 1.0,
    "rarely": lambda rng: np.full(N, 1000.0),
    "often": lambda rng: np.full(N, 0.001),
}


@pytest.mark.parametrize("name", GAPS)
def test_an_irregular_sender_has_no_dropouts(name: str) -> None:
    rng = np.random.default_rng(6)
    t_ns = (np.cumsum(GAPS[name](rng)) * S).astype(np.int64)
    assert found(rng.normal(size=N), t_ns) == []


def test_rows_out_of_order_are_told_a_few_times_and_then_usual() -> None:
    rng = np.random.default_rng(7)
    t_ns = (np.arange(N) + (rng.random(N) < 0.3) * rng.integers(-5, 5, N)).astype(np.int64) * S
    assert len(found(rng.normal(size=N), t_ns)) <= 4


def stuck(values: Floats) -> None:
    values[FAULT : FAULT + 500] = values[FAULT]


def spike(values: Floats) -> None:
    values[FAULT] += 15


def noise(values: Floats) -> None:
    values[FAULT : FAULT + 300] += np.random.default_rng(8).normal(0, 5, 300)


def drift(values: Floats) -> None:
    values[FAULT : FAULT + 3000] += np.linspace(0, 3, 3000)


@pytest.mark.parametrize(("inject", "within"), [(stuck, 60), (spike, 2), (noise, 60), (drift, 3000)])
def test_a_plain_fault_of_a_restless_column_is_found_once(inject: Callable[[Floats], None], within: int) -> None:
    values = np.random.default_rng(9).normal(20, 0.3, N)
    inject(values)
    stretches = found(values)
    assert [kind for kind, _ in stretches] == [inject.__name__]
    assert FAULT <= stretches[0][1] <= FAULT + within


@pytest.mark.parametrize(
    ("step_s", "kind"), [(60, "dropout"), (7200, "clock_jump"), (-60, "clock_jump")], ids=["gap", "ahead", "back"]
)
def test_a_regular_sender_that_misses_a_beat_is_found(step_s: int, kind: str) -> None:
    t_ns = np.arange(N, dtype=np.int64) * S
    t_ns[FAULT:] += step_s * S
    assert found(np.random.default_rng(9).normal(20, 0.3, N), t_ns) == [(kind, FAULT)]


def test_features_name_the_column() -> None:
    names = [feature.name for feature in health.Detector(("celsius", "ax")).features()]
    assert "single sample of celsius" in names
    assert "single sample of ax" not in names


def test_the_state_is_bounded_whatever_the_number_of_columns() -> None:
    wide = health.Detector(tuple(f"c{k}" for k in range(500)))
    assert wide.state_size_bytes <= 64 * 1024
    assert health.Detector(("celsius",)).state_size_bytes <= 4 * 1024
