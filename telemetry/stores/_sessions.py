"""A session as flat columns, the same in every store that has columns; `seqs` is JSON text."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson

from telemetry.ports import Session
from telemetry.session_clock import SessionClock

CLOCK = "clock"
_OWN = tuple(f.name for f in fields(Session) if f.name != CLOCK)
_OF_CLOCK = {f"{CLOCK}_{f.name}": f.name for f in fields(SessionClock)}

COLUMNS = (*_OWN, *_OF_CLOCK)
NULLABLE = frozenset(_OF_CLOCK)
TEXTS = frozenset({"device", "session", "seqs", "clock_basis"})
FLAGS = frozenset({"clock_synchronised"})  # all that is neither text nor flag is a 64-bit integer


def flat(session: Session) -> dict[str, Any]:
    """Its columns."""
    values = {name: getattr(session, name) for name in _OWN}
    values["seqs"] = orjson.dumps(session.seqs).decode()
    return values | {column: getattr(session.clock, name) for column, name in _OF_CLOCK.items()}


def session_of(values: Mapping[str, Any]) -> Session:
    """Read back; a column that an earlier version did not write is as its default."""
    own = {name: values[name] for name in _OWN if name in values}
    own["seqs"] = tuple((first, last) for first, last in orjson.loads(values["seqs"]))
    clock = SessionClock(**{name: values.get(column) for column, name in _OF_CLOCK.items()})
    return Session(**own, clock=clock)
