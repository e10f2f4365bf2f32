"""A column of times of any of the usual forms, as integer nanoseconds."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from telemetry.errors import Misconfigured

UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3))
"""A number below this is in units of so many nanoseconds: seconds, milliseconds, microseconds; else nanoseconds."""

Nanoseconds = npt.NDArray[np.int64]


class Times:
    """Reads one column, piece after piece: numbers (seconds, or what the first one's size says) or ISO 8601 text.

    A row without a time has the time of the row before it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._unit_ns: int | None = None
        self._last_ns = 0

    def read(self, column: pa.ChunkedArray) -> Nanoseconds:
        """int64[n]; raises `Misconfigured` for what is no time."""
        try:
            return self._filled(*self._parsed(column))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
            raise Misconfigured(
                f"column {self._name!r} has a cell that is no time: {e}; it takes ISO 8601 or a number"
            ) from e

    def _parsed(self, column: pa.ChunkedArray) -> tuple[Nanoseconds, npt.NDArray[np.bool_]]:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            text = pc.utf8_trim_whitespace(column)
            text = pc.if_else(pc.equal(text, ""), None, text)
            try:
                column = text.cast(pa.int64())
            except pa.ArrowInvalid:
                try:
                    column = text.cast(pa.float64())
                except pa.ArrowInvalid:
                    return self._dates(_instants(text))
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            return self._dates(column)
        return self._numbers(column)

    def _dates(self, column: pa.ChunkedArray) -> tuple[Nanoseconds, npt.NDArray[np.bool_]]:
        ns = column.cast(pa.timestamp("ns", getattr(column.type, "tz", None))).cast(pa.int64())
        return ns.fill_null(0).to_numpy(), column.is_valid().to_numpy()

    def _numbers(self, column: pa.ChunkedArray) -> tuple[Nanoseconds, npt.NDArray[np.bool_]]:
        is_there = column.is_valid().to_numpy()
        if pa.types.is_integer(column.type):
            whole = column.cast(pa.int64()).fill_null(0).to_numpy()
            unit_ns = self._unit(whole[is_there])
            if len(whole) and np.abs(whole).max() > 2**62 // unit_ns:
                raise Misconfigured(f"column {self._name!r} has a time that is too large")
            return whole * unit_ns, is_there
        real = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
        is_there = is_there & np.isfinite(real)
        scaled = np.where(is_there, real, 0.0) * self._unit(real[is_there])
        if len(scaled) and np.abs(scaled).max() > 2**62:
            raise Misconfigured(f"column {self._name!r} has a time that is too large")
        return np.round(scaled).astype(np.int64), is_there

    def _unit(self, known: npt.NDArray[np.generic]) -> int:
        """Decided by the first time there is, once."""
        if self._unit_ns is None and len(known):
            size = abs(float(known[0]))
            self._unit_ns = next((unit for below, unit in UNITS if size < below), 1)
        return self._unit_ns or 1

    def _filled(self, t_ns: Nanoseconds, is_there: npt.NDArray[np.bool_]) -> Nanoseconds:
        if not len(t_ns):
            return t_ns
        index = np.maximum.accumulate(np.where(is_there, np.arange(len(t_ns)), -1))
        filled = np.where(index >= 0, t_ns[np.maximum(index, 0)], self._last_ns)
        self._last_ns = int(filled[-1])
        return filled


def _instants(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """ISO 8601, with an offset or without (then UTC)."""
    try:
        return text.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return text.cast(pa.timestamp("ns", "UTC"))
