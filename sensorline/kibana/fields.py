"""What can be asked of an index: its fields as our templates map them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from telemetry.stores._elastic_templates import load

RECORDS = "___records___"  # Lens's name for "the documents themselves"

_NUMBERS = frozenset({"long", "integer", "short", "byte", "double", "float", "half_float", "unsigned_long"})
_DATES = frozenset({"date", "date_nanos"})


class Group(StrEnum):
    """The types that matter to a chart, as Lens names them."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    DATE = "date"
    GEO = "geo_point"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an index; `is_indexed`: a query for its value needs no scan, `has_values`: it can be aggregated."""

    name: str
    type: str
    is_indexed: bool
    has_values: bool

    @property
    def group(self) -> Group:
        """What kind of values it holds."""
        if self.type in _NUMBERS:
            return Group.NUMBER
        if self.type in _DATES:
            return Group.DATE
        return {"keyword": Group.STRING, "boolean": Group.BOOLEAN, "geo_point": Group.GEO}.get(self.type, Group.OTHER)


Fields = Mapping[str, Field]


def fields_of(index: str) -> Fields:
    """The fields of a packaged mapping: "readings", "anomalies", "sessions" or "windows"."""
    return {field.name: field for field in _walk(load(f"{index}_mapping"), "")}


def _walk(mapping: Mapping[str, Any], path: str) -> Iterator[Field]:
    """What an object that is not enabled holds is not in the index at all."""
    for name, about in mapping.get("properties", {}).items():
        if about.get("type", "object") == "object":
            if about.get("enabled", True):
                yield from _walk(about, f"{path}{name}.")
        else:
            yield Field(f"{path}{name}", about["type"], about.get("index", True), about.get("doc_values", True))
