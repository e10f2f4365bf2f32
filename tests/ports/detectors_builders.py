"""For the suite over all detectors: a stream that each is made for, with stretches in it that it must find."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from consumers.detectors import Floats, Times
from consumers.profiles import MOTION_FIELDS

Labels = list[tuple[int, int]]  # rows, both ends included
Stream = tuple[Times, Floats, Labels]


@dataclass(frozen=True)
class Builder:
    """`stream(seed, rows)`: rows of the detector's kind; what is labelled is unmistakable."""

    name: str
    fields: tuple[str, ...]
    stream: Callable[[int, int], Stream]
    state_kib_max: int


def _seconds(rows: int, step_s: float) -> Times:
    return (1_700_000_000 * 10**9 + np.arange(rows) * round(step_s * 1e9)).astype(np.int64)


def series(seed: int, rows: int) -> Stream:
    """A daily swing with noise, and single values far out of it."""
    random = np.random.default_rng([seed, 1])
    values = 20 + 2 * np.sin(np.arange(rows) / 45) + 0.3 * random.normal(size=rows)
    labels = [(k, k) for k in range(700, rows, 400)]
    for k, _ in labels:
        values[k] += 40
    return _seconds(rows, 60), values[:, None], labels


def channels(seed: int, rows: int) -> Stream:
    """Eight correlated channels; then for a while three of them stand elsewhere."""
    random = np.random.default_rng([seed, 2])
    mixed = random.normal(size=(8, 8)) * 0.3 + np.eye(8)
    values = random.normal(size=(rows, 8)) @ mixed + np.arange(8) * 10.0
    labels = [(k, min(rows, k + 80) - 1) for k in range(700, rows, 500)]
    for first, last in labels:
        values[first : last + 1, :3] += 8.0
    return _seconds(rows, 1), values, labels


def _phone(random: np.random.Generator, rows: int) -> Stream:
    """A phone in a car at 50 Hz: gravity with the road's shaking; a fix a second, straight on at 13 m/s."""
    values = np.full((rows, len(MOTION_FIELDS)), np.nan)
    values[:, :3] = random.normal(size=(rows, 3)) * 0.35 + (0.0, 0.4, 9.8)
    values[:, 3:6] = random.normal(size=(rows, 3)) * 0.03
    fixes = np.arange(0, rows, 50)
    values[fixes, 6] = 48.0 + 13.0 * fixes / 50 / 111_320.0 + random.normal(size=len(fixes)) * 2e-6
    values[fixes, 7] = 11.0 + random.normal(size=len(fixes)) * 2e-6
    values[fixes, 8], values[fixes, 9] = 13.0 + random.normal(size=len(fixes)) * 0.1, 4.0
    return _seconds(rows, 0.02), values, []


def motion(seed: int, rows: int) -> Stream:
    """Crashes: 2 g for 0.12 s."""
    random = np.random.default_rng([seed, 3])
    t_ns, values, _ = _phone(random, rows)
    labels = [(k, k + 5) for k in range(2000, rows - 10, 1500)]
    for first, last in labels:
        values[first : last + 1, 0] -= 20.0
        values[first : last + 1, 3:6] += 1.5
    return t_ns, values, labels


def health(seed: int, rows: int) -> Stream:
    """One sample on one axis, 60 m/s2 high."""
    random = np.random.default_rng([seed, 4])
    t_ns, values, _ = _phone(random, rows)
    labels = [(k, k) for k in range(2000, rows, 1500)]
    for k, _ in labels:
        values[k, 1] += 60.0
    return t_ns, values, labels


BUILDERS = (
    Builder("series", ("value",), series, 256),
    Builder("channels", tuple(f"c{k}" for k in range(8)), channels, 128),
    Builder("motion", MOTION_FIELDS, motion, 64),
    Builder("health", MOTION_FIELDS, health, 64),
)
