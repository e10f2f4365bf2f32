"""Pages of a table or query by a growing key, over SQLAlchemy; each call opens a connection, and blocks."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import orjson

from edge.sources import SourceFailed
from telemetry.errors import Misconfigured

Key: TypeAlias = int | float | str | datetime | date | Decimal
EQUAL_ROWS_MAX = 10_000  # rows with one and the same key, which have to be read in one go
_PARAMETER = re.compile(r"(?<![:\w]):(?=\w)")  # what SQLAlchemy would take for one; a query here has none


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of their keys; `after` is the last one's key, None when there are no rows."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    after: Key | None
    is_last: bool


class Table:
    """`table` (with its schema before a dot) or `query`, of which `columns` and `key` are read."""

    def __init__(
        self, sa: Any, engine: Any, *, table: str | None, query: str | None, key: str, columns: Sequence[str]
    ) -> None:
        self._sa = sa
        self._engine = engine
        self.columns = tuple(dict.fromkeys((key, *columns)))
        wanted = [sa.column(name) for name in self.columns]
        if query is not None:
            text = sa.text(_PARAMETER.sub(r"\\:", query.strip().rstrip(";")))
            self._from = text.columns(*wanted).subquery("q")
        else:
            schema, _, name = str(table).rpartition(".")
            self._from = sa.table(name, *wanted, schema=schema or None)
        self._key = self._from.c[key]

    def highest(self) -> Key | None:
        """The highest key there is.  Raises `SourceFailed`."""
        found = self._fetch(self._sa.select(self._sa.func.max(self._key)))
        return found[0][0] if found else None

    def page(self, after: Key | None, until: Key | None, rows_max: int) -> Page:
        """Rows with `after` < key <= `until` (None: no such bound), whole runs of equal keys.

        Raises `SourceFailed`.
        """
        where = [self._key.is_not(None)] if after is None else [self._key > after]
        if until is not None:
            where.append(self._key <= until)
        select = self._sa.select(*self._from.c).where(*where).order_by(self._key)
        rows = self._fetch(select.limit(rows_max))
        if len(rows) < rows_max:
            return Page(self.columns, rows, rows[-1][0] if rows else None, is_last=True)
        last = rows[-1][0]
        kept = [row for row in rows if row[0] != last]  # of the last key there may be more: they go together
        if not kept:
            same = self._sa.select(*self._from.c).where(self._key == last).limit(EQUAL_ROWS_MAX + 1)
            kept = self._fetch(same)
            if len(kept) > EQUAL_ROWS_MAX:
                raise SourceFailed(f"more than {EQUAL_ROWS_MAX} rows have the key {last!r}: a key must tell rows apart")
        return Page(self.columns, kept, kept[-1][0], is_last=False)

    def close(self) -> None:
        """Let the engine go."""
        self._engine.dispose()

    def _fetch(self, select: Any) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(select).fetchall())
        except self._sa.exc.SQLAlchemyError as e:
            raise SourceFailed(f"the database: {without_password(e, self._engine.url)}") from e


def new_engine(sa: Any, url: str, connect_args: dict[str, Any], path: str) -> Any:
    """Raises `Misconfigured` at `path`, with a text that never holds the URL."""
    try:
        return sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=connect_args, hide_parameters=True)
    except sa.exc.NoSuchModuleError as e:
        raise Misconfigured(f"{path}: SQLAlchemy knows no such database", path=path) from e
    except ImportError as e:
        raise Misconfigured(f"{path}: the database's driver is not installed: {e.name}", path=path) from e
    except (sa.exc.SQLAlchemyError, ValueError) as e:
        raise Misconfigured(f"{path} is no URL of a database (e.g. postgresql+psycopg://...)", path=path) from e


def without_password(error: Exception, url: Any) -> str:
    """The driver's first line."""
    said = str(getattr(error, "orig", None) or error).partition("\n")[0]
    return said.replace(url.password, "***") if url.password else said


def cursor_text(key: Key) -> str:
    """A key with its type, as the cursor.  Raises `Misconfigured` for a type that has no order to rely on."""
    value: Any
    if isinstance(key, bool) or not isinstance(key, int | float | str | datetime | date | Decimal):
        raise Misconfigured(f"the key's values are of type {type(key).__name__}; use numbers, texts or times")
    if isinstance(key, datetime | date):
        kind, value = ("datetime" if isinstance(key, datetime) else "date"), key.isoformat()
    elif isinstance(key, Decimal):
        kind, value = "decimal", str(key)
    else:
        kind, value = type(key).__name__, str(key) if isinstance(key, int) else key  # an int may be beyond 64 bits
    return orjson.dumps({"v": 1, "type": kind, "key": value}).decode()


def cursor_key(text: str | None) -> Key | None:
    """The key again; a cursor that makes no sense raises `Misconfigured`: to begin anew would double every row."""
    if text is None:
        return None
    of: dict[str, Callable[[Any], Key]] = {
        "int": int,
        "float": float,
        "str": str,
        "decimal": Decimal,
        "datetime": datetime.fromisoformat,
        "date": date.fromisoformat,
    }
    try:
        document = orjson.loads(text)
        key: Key = of[document["type"]](document["key"])
    except (ValueError, KeyError, TypeError, ArithmeticError) as e:
        raise Misconfigured(f"the stored cursor {text[:80]!r} is none of a sql source") from e
    return key
