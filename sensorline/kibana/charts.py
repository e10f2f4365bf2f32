"""Charts as plain values."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sensorline.kibana.columns import Column
from sensorline.kibana.views import View

Shape: TypeAlias = Literal["line", "bar_stacked", "bar_horizontal", "bar_horizontal_stacked"]

# Told apart by people who see colours differently, on light and on dark ground.
RED, GREEN, BLUE, YELLOW, PURPLE = "#d36086", "#54b399", "#6092c0", "#d6bf57", "#9170b8"
PALE_RED, PALE_GREEN, PALE_BLUE = "#ecb9ca", "#aeddcf", "#b4cbe1"
CRITICAL, WARNING, INFO = "#cc5642", "#d6bf57", "#6092c0"


@dataclass(frozen=True, slots=True)
class Number:
    """One large number; its title is its label."""

    key: str
    title: str
    view: View
    column: Column
    where: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines or bars; `split` makes one of each value.  `is_joined` draws over gaps: for what is measured rarely."""

    key: str
    title: str
    view: View
    x: Column
    ys: tuple[Column, ...]
    split: Column | None = None
    shape: Shape = "line"
    where: str = ""
    y_title: str = ""
    is_joined: bool = False
    is_from_zero: bool = False  # else a line's axis fits its values


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of `sort`, largest first."""

    key: str
    title: str
    view: View
    columns: tuple[Column, ...]
    sort: str
    where: str = ""
    rows: int = 20  # a page
    widths: tuple[tuple[str, int], ...] = ()
    hidden: tuple[str, ...] = ()  # needed for one row a thing, and of no use to a person


Chart: TypeAlias = Number | Plot | Table


def columns_of(chart: Chart) -> Iterator[Column]:
    """Its columns, those that divide first, as they are asked of Elasticsearch."""
    if isinstance(chart, Number):
        yield replace(chart.column, label=chart.title)
    elif isinstance(chart, Plot):
        if chart.split is not None:
            yield chart.split
        yield chart.x
        yield from chart.ys
    else:
        yield from sorted(chart.columns, key=lambda c: not c.is_bucket)
