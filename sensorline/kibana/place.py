"""A place in a document that is checked: every step says where it is, so that a finding can."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_GENERATE = "generate the objects anew: sensorline kibana export"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and what mends it."""

    path: str
    problem: str
    mend: str


class Broken(Exception):
    """The place does not have the shape it must have; nothing below it can be checked."""

    def __init__(self, path: str, problem: str, mend: str = _GENERATE) -> None:
        super().__init__(f"{path}: {problem}")
        self.finding = Finding(path, problem, mend)


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands.  Every method raises `Broken` where the value is missing or of another shape."""

    path: str
    value: Any

    def at(self, key: str | int) -> "Place":
        """What a mapping or a list holds there."""
        path = f"{self.path}.{key}"
        try:
            return Place(path, self.value[key])
        except (KeyError, IndexError, TypeError) as e:
            raise Broken(path, "is missing") from e

    def has(self, key: str) -> bool:
        """Whether a mapping has something there."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def text(self, key: str) -> str:
        """The text there."""
        found = self.at(key)
        if not isinstance(found.value, str):
            raise Broken(found.path, f"must be a text, not {_kind(found.value)}")
        return found.value

    def number(self, key: str) -> int:
        """The whole number there."""
        found = self.at(key)
        if type(found.value) is not int:
            raise Broken(found.path, f"must be a whole number, not {_kind(found.value)}")
        return found.value

    def items(self, key: str) -> Iterator["Place"]:
        """The list there, one by one."""
        found = self.at(key)
        if not isinstance(found.value, list):
            raise Broken(found.path, f"must be a list, not {_kind(found.value)}")
        yield from (Place(f"{found.path}[{k}]", value) for k, value in enumerate(found.value))

    def members(self, key: str) -> Iterator[tuple[str, "Place"]]:
        """The mapping there, one by one."""
        found = self.at(key)
        if not isinstance(found.value, dict):
            raise Broken(found.path, f"must be an object, not {_kind(found.value)}")
        yield from ((name, Place(f"{found.path}.{name}", value)) for name, value in found.value.items())

    def parsed(self, key: str) -> "Place":
        """What the JSON text there holds."""
        text = self.text(key)
        try:
            return Place(f"{self.path}.{key}", json.loads(text))
        except ValueError as e:
            raise Broken(f"{self.path}.{key}", f"does not parse: {e}") from e


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
