"""Columns of a chart as plain values: what is counted, over what.  `lens` and `dashboards_api` write them down."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sensorline.kibana.fields import Group
from sensorline.kibana.views import View

Operation: TypeAlias = Literal[
    "count", "unique_count", "max", "min", "average", "sum", "last_value", "terms", "date_histogram"
]
BUCKETS = frozenset({"terms", "date_histogram"})

Style: TypeAlias = Literal["", "percent"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.  `field` "" is the documents themselves; `where` is KQL and counts only what it matches."""

    key: str
    label: str
    operation: Operation
    field: str = ""
    group: Group = Group.NUMBER
    where: str = ""
    unit: str = ""
    style: Style = ""
    decimals: int = 0
    color: str = ""
    size: int = 0  # of terms: how many
    by: str = ""  # of terms: the key of the column that orders them, or RECORDS, largest first; "" = by name
    sort_by: str = ""  # of a last value: the time field

    @property
    def is_bucket(self) -> bool:
        """Whether it divides the documents, instead of computing something of them."""
        return self.operation in BUCKETS

    def where_also(self, kql: str) -> "Column":
        """Of fewer documents."""
        return replace(self, where=f"({self.where}) and ({kql})" if self.where else kql)


def over_time(view: View, label: str = "Time") -> Column:
    """Divided by time, as finely as the chart is wide."""
    return Column("time", label, "date_histogram", view.time_field, Group.DATE)


def by(view: View, field: str, label: str, *, size: int, order: str = "", key: str = "") -> Column:
    """Divided by a field's values, the `size` first of them."""
    return Column(key or field, label, "terms", field, view.fields[field].group, size=size, by=order)


def count(key: str, label: str, *, where: str = "", color: str = "") -> Column:
    """How many documents."""
    return Column(key, label, "count", where=where, color=color)


def distinct(key: str, label: str, field: str) -> Column:
    """How many different values."""
    return Column(key, label, "unique_count", field)


def number(
    key: str,
    label: str,
    operation: Literal["max", "min", "average", "sum"],
    field: str,
    *,
    unit: str = "",
    style: Style = "",
    decimals: int = 0,
    color: str = "",
) -> Column:
    """A number made of a field's values."""
    return Column(key, label, operation, field, unit=unit, style=style, decimals=decimals, color=color)


def newest(view: View, key: str, label: str, field: str) -> Column:
    """A date field's greatest value; unlike `latest` it can order the rows."""
    return Column(key, label, "max", field, view.fields[field].group)


def latest(
    view: View,
    key: str,
    label: str,
    field: str,
    *,
    where: str = "",
    style: Style = "",
    decimals: int = 0,
    unit: str = "",
) -> Column:
    """A field's last value by time."""
    return Column(
        key,
        label,
        "last_value",
        field,
        view.fields[field].group,
        where=where,
        unit=unit,
        style=style,
        decimals=decimals,
        sort_by=view.time_field,
    )
