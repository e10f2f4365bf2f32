"""Hypothesis strategies: any batch that the catalogue allows."""

from typing import Any

import numpy as np
import orjson
from hypothesis import settings
from hypothesis import strategies as st

from telemetry.batch import TIME_NS_MAX, Batch, Series
from telemetry.reading import CATALOGUE, Field, Kind

unhurried = settings(deadline=None, max_examples=50)  # a busy machine is no failure

names = st.text("aZ09_-", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)


def number(field: Field) -> st.SearchStrategy[float]:
    """Any value of the field, at its precision (so that narrowing keeps it)."""
    width = 32 if field.kind is Kind.FLOAT32 else 64
    low, high = (float(np.float32(b)) if width == 32 else float(b) for b in (field.low, field.high))
    return st.floats(low, high, allow_nan=False, width=width)


def value(field: Field) -> st.SearchStrategy[Any]:
    """Any value of the field."""
    if field.kind is Kind.BOOL:
        return st.booleans()
    return texts if field.kind is Kind.TEXT else number(field)


@st.composite
def series(draw: st.DrawFn) -> Series:
    """Up to four readings of one sensor, with absent values and extras."""
    sensor = CATALOGUE[draw(st.sampled_from(sorted(CATALOGUE)))]
    n = draw(st.integers(0, 4))
    times = draw(st.lists(st.integers(0, TIME_NS_MAX), min_size=n, max_size=n))
    fields = draw(st.lists(st.sampled_from(sensor.fields), unique_by=lambda f: f.name))
    columns = {f.name: draw(st.lists(st.none() | value(f), min_size=n, max_size=n)) for f in fields}
    extra = draw(st.none() | st.lists(st.none() | extras, min_size=n, max_size=n))
    return Series.of(sensor.name, times, columns, extra)


def _text(extra: dict[str, Any]) -> str:
    return orjson.dumps(extra, option=orjson.OPT_SORT_KEYS).decode()


extras = st.dictionaries(texts, scalars | st.lists(scalars, max_size=3), max_size=3).map(_text)
batches = st.builds(Batch, names, names, st.integers(0, 2**63 - 1), st.lists(series(), max_size=3).map(tuple))
