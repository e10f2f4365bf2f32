"""Whether an index can do what is asked of its fields."""

import re
from collections.abc import Iterator

from sensorline.kibana.fields import RECORDS, Field, Fields, Group
from sensorline.kibana.place import Finding

_ANY = frozenset({Group.NUMBER, Group.STRING, Group.BOOLEAN, Group.DATE})
_NUMBERS = frozenset({Group.NUMBER})
OPERATIONS: dict[str, frozenset[Group]] = {
    "date_histogram": frozenset({Group.DATE}),
    "terms": _ANY,
    "unique_count": _ANY,
    "last_value": _ANY,
    "min": _NUMBERS | {Group.DATE},
    "max": _NUMBERS | {Group.DATE},
    "average": _NUMBERS,
    "sum": _NUMBERS,
    "median": _NUMBERS,
    "count": _ANY | {Group.GEO},
}
"""What each operation can be asked of."""

_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMES = re.compile(r"([A-Za-z_@][\w.@]*)\s*(:\s*\*|:|<=?|>=?)")


def operation(path: str, name: str, field: str, fields: Fields) -> Iterator[Finding]:
    """An aggregation over a field."""
    if name not in OPERATIONS:
        yield Finding(path, f"{name!r} is no operation known here", f"use one of {', '.join(sorted(OPERATIONS))}")
        return
    if field == RECORDS:
        if name != "count":
            yield Finding(path, f"{name} needs a field, not the documents", "name a field, or count")
        return
    known = fields.get(field)
    if known is None:
        yield unknown(path, field, fields)
    elif known.group not in OPERATIONS[name]:
        groups = ", ".join(sorted(OPERATIONS[name]))
        yield Finding(path, f"{name} of {field!r}, which is {known.type}", f"take a field of these kinds: {groups}")
    elif not known.has_values:
        yield Finding(path, f"{field!r} has no doc values: it cannot be aggregated", "take a field with doc values")


def geo(path: str, field: str, fields: Fields) -> Iterator[Finding]:
    """A position on a map: looked up by the part of the map that is shown, so it must be indexed."""
    known = fields.get(field)
    if known is None:
        yield unknown(path, field, fields)
    elif known.group is not Group.GEO:
        yield Finding(path, f"{field!r} is {known.type}, not a position", "take a field of type geo_point")
    elif not known.is_indexed:
        yield Finding(path, f"{field!r} is not indexed: each tile would scan everything", "map it with an index")


def query(path: str, kql: str, fields: Fields) -> Iterator[Finding]:
    """A query in Kibana's language: each field it names exists, and is indexed unless `*` asks for any value."""
    names = _NAMES.findall(_TEXTS.sub('""', kql))
    if kql.strip() and not names:
        yield Finding(path, f"{kql!r} names no field", "write it as field: value")
    for name, asked in names:
        yield from shown(path, name, fields) if asked.endswith("*") else filterable(path, name, fields)


def filterable(path: str, name: str, fields: Fields) -> Iterator[Finding]:
    """A field whose value is asked for."""
    known = fields.get(name)
    if known is None:
        yield unknown(path, name, fields)
    elif not known.is_indexed:
        yield Finding(path, f"{name!r} is not indexed: every query would scan everything", "filter by another field")


def shown(path: str, name: str, fields: Fields) -> Iterator[Finding]:
    """A field whose value is only shown."""
    if name not in fields:
        yield unknown(path, name, fields)


def typed(path: str, data_type: str, field: Field | None, operation_name: str) -> Iterator[Finding]:
    """What a column says its values are."""
    is_of_field = operation_name in {"terms", "last_value", "min", "max", "date_histogram"}
    expected = field.group if field is not None and is_of_field else Group.NUMBER
    if data_type != expected:
        yield Finding(path, f"says {data_type!r}, and its values are {expected.value!r}", "correct dataType")


def unknown(path: str, name: str, fields: Fields) -> Finding:
    """A field that our templates do not have."""
    import difflib

    near = difflib.get_close_matches(name, fields, n=1)
    return Finding(
        path, f"no field {name!r} in the index template", f"did you mean {near[0]!r}?" if near else "remove it"
    )
