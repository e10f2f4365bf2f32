"""Rows cut into parts, and what every family of features needs of them: sums in the order of rows, earlier rows."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from telemetry.window import Floats, Ints

Mask = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


class Rows:
    """Times int64[n] and values float64[n, k] (NaN = absent), part by part and by time in each."""

    def __init__(self, t_ns: Ints, values: Floats, starts: Ints) -> None:
        self.t_ns = t_ns
        self.values = values
        self.starts = starts
        self.lengths = np.diff(starts, append=len(t_ns))
        self.part = np.repeat(np.arange(len(starts)), self.lengths)
        self.present = ~np.isnan(values)
        self.is_complete = bool(self.present.all())

    @property
    def shape(self) -> tuple[int, int]:
        """Parts and fields."""
        return len(self.starts), self.values.shape[1]

    @cached_property
    def _slot(self) -> Ints:
        """Which (part, field) a value counts for, flat int64[n * k]."""
        fields = self.values.shape[1]
        return np.ravel(self.part[:, None] * fields + np.arange(fields))

    @cached_property
    def counts(self) -> Floats:
        """Present values by part and field, float64[parts, fields]."""
        if self.is_complete:
            return np.repeat(self.lengths.astype(np.float64)[:, None], self.values.shape[1], axis=1)
        return self.total(self.present.astype(np.float64))

    def total(self, numbers: Floats) -> Floats:
        """Sums of float64[n, k] by part and field.

        One after the other, in the order of rows (as `bincount` does): what stands in other parts cannot change a
        bit, which blockwise sums do not promise.
        """
        parts, fields = self.shape
        sums: Any = np.bincount(self._slot, numbers.ravel(), parts * fields)  # typed as if there were no weights
        return cast(Floats, sums.reshape(parts, fields))

    def present_only(self, numbers: Floats) -> Floats:
        """The same with 0 where the value is absent: it changes no sum."""
        return numbers if self.is_complete else np.where(self.present, numbers, 0.0)

    @cached_property
    def has_before(self) -> Mask:
        """Where a value and an earlier one in its part are present: bool[n, k], or bool[n, 1] where all are."""
        if self.is_complete:
            inner = np.ones((len(self.t_ns), 1), np.bool_)
            inner[self.starts] = False
            return inner
        return self.present & (self._latest >= self.starts[self.part][:, None])

    def before(self, numbers: npt.NDArray[T]) -> npt.NDArray[T]:
        """The number beside each value's earlier one: [n, k] or [n, 1]; without meaning where not `has_before`."""
        if self.is_complete:
            return np.concatenate((numbers[:1], numbers[:-1]))
        wide = np.broadcast_to(numbers, self.values.shape)
        return wide[np.maximum(self._latest, 0), np.arange(self.values.shape[1])]

    @cached_property
    def _latest(self) -> Ints:
        """The row of the latest present value before each, in whatever part; -1 = none."""
        row = np.arange(len(self.t_ns))[:, None]
        latest = np.maximum.accumulate(np.where(self.present, row, -1), axis=0)
        return np.vstack((np.full((1, self.values.shape[1]), -1), latest[:-1]))


def named(fields: Sequence[str], features: Sequence[str]) -> tuple[str, ...]:
    """`<field>_<feature>`, feature by feature, as the columns lie."""
    return tuple(f"{field}_{feature}" for feature in features for field in fields)
