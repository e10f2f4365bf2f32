"""JSON rows -> columns: a plain name is looked up in each row, anything else is JMESPath.  Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from edge.cleaning.cells import WRONG
from edge.sources import driver
from telemetry.errors import Misconfigured

Getter: TypeAlias = Callable[[Any], Any]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expression(text: str, path: str) -> Getter:
    """A compiled JMESPath; an error while it is applied gives `WRONG`.  Raises `Misconfigured` at `path`."""
    jmespath = driver("jmespath", "poll")
    errors: type[Exception] = jmespath.exceptions.JMESPathError
    try:
        compiled = jmespath.compile(text)
    except errors as e:
        first = str(e).partition("\n")[0]
        raise Misconfigured(f"{path}: {text!r} is no JMESPath: {first}", path=path) from e

    def get(row: Any) -> Any:
        try:
            return compiled.search(row)
        except errors:
            return WRONG

    return get


def getter(name: str, path: str) -> Getter:
    """What gets the value of this name out of a row, None where it is not there.  Raises `Misconfigured`."""
    if _PLAIN.fullmatch(name):
        return lambda row: row.get(name) if isinstance(row, dict) else None
    return expression(name, path)


def columns_of(rows: Sequence[Any], getters: Mapping[str, Getter]) -> dict[str, list[Any]]:
    """Each getter's column, as long as `rows`."""
    return {name: [get(row) for row in rows] for name, get in getters.items()}
