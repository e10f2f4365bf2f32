"""SOURCE: a table or query of any database that SQLAlchemy speaks, polled by a growing column.

    [sources.mes]
    type = "sql"
    url = "postgresql+psycopg://reader:${file:db.password}@db.example/plant"
    table = "public.readings"          # or query = "SELECT ..."
    key = "id"
    every_s = 10
    lag_s = 5
    map = {sensor = "temperature", time = "at", time_unit = "iso", fields = {celsius = "value"}}

Delivery: each row whose key is above all that were read before comes exactly once into the spool, also across restarts
(the cursor is the last key); a bad row near a crash may be set aside twice.  Rows with equal keys are read together.
What cannot be guaranteed: a row that becomes visible with a key at or below one already read is never seen.  That
happens where transactions commit in another order than they took their keys; `lag_s` waits so long before a key is
read up to, and helps when no transaction is open for longer.  Rows without a key, and later changes of a row, are not
seen; a key whose values do not survive being read and compared (a rounded float or time) may be read twice.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from edge.cleaning.clean import Cleaned, Cleaner, Maps
from edge.sources import Context, Options, Outlet, driver
from edge.sources._abandon import abandonable
from edge.sources._blocking import in_thread
from edge.sources._secrets import expanded
from edge.sources._sql_pages import Key, Page, Table, cursor_key, cursor_text, new_engine


class Config(Options):
    """Of one table or query."""

    url: str = Field(repr=False, description="SQLAlchemy's; may hold ${file:name}")
    table: str | None = Field(None, min_length=1, max_length=200)
    query: str | None = Field(None, min_length=1, max_length=20_000, description="without parameters and LIMIT")
    key: str = Field(min_length=1, max_length=200)
    every_s: float = Field(10.0, ge=0.05, le=7 * 86_400)
    page_rows: int = Field(2_000, ge=2, le=20_000)
    lag_s: float = Field(0.0, ge=0, le=86_400)
    deadline_s: float = Field(60.0, gt=0, le=3600, description="of one query")
    connect_args: dict[str, Any] = Field(default_factory=dict, repr=False, description="for the database's driver")
    map: Maps

    @model_validator(mode="after")
    def _is_one(self) -> "Config":
        if (self.table is None) == (self.query is None):
            raise ValueError("name either a table or a query")
        return self


def open(config: Config, context: Context) -> "SqlSource":  # noqa: A001 - the port's word
    """Connects when it is run.  Raises `Misconfigured`: units, a missing library, the cursor of another source."""
    sa = driver("sqlalchemy", "sql")
    cleaner = Cleaner.of(config.map, f"sources.{context.name}.map")
    return SqlSource(config, context, cleaner, sa, cursor_key(context.cursor))


class SqlSource:
    """One table or query."""

    def __init__(self, config: Config, context: Context, cleaner: Cleaner, sa: Any, after: Key | None) -> None:
        self._config = config
        self._context = context
        self._cleaner = cleaner
        self._sa = sa
        self._after = after
        self._highest: deque[tuple[float, Key]] = deque()  # seen when, for `lag_s`
        self._until: Key | None = None

    async def run(self, outlet: Outlet) -> None:
        """Poll for ever.  Raises `SourceFailed`, `Misconfigured`."""
        clock, table = self._context.clock, self._table()
        try:
            due_s = clock.monotonic_s()
            while True:
                await self._read_up(table, outlet)
                now_s = clock.monotonic_s()
                due_s = max(due_s + self._config.every_s, now_s)
                await clock.sleep(due_s - now_s)
        finally:
            table.close()

    async def check(self) -> str:
        """Look at the first rows that the cursor leaves."""
        table = self._table()
        try:
            page = await self._ask(lambda: table.page(self._after, None, 20))
        finally:
            table.close()
        cleaned = self._cleaned(page)
        if not page.rows:
            return "connected; no row that was not read before" if self._after is not None else "connected; no rows yet"
        found = ", ".join(f"{len(s)} of {s.sensor}" for s in cleaned.series) or "no good readings"
        first = f", the first bad one: {cleaned.bad[0].detail}" if cleaned.bad else ""
        return f"{len(page.columns)} columns; of the first {len(page.rows)} rows {found}, {len(cleaned.bad)} bad{first}"

    async def _read_up(self, table: Table, outlet: Outlet) -> None:
        """All pages that are there."""
        if self._config.lag_s and not await self._is_due(table):
            return
        while True:
            page = await self._ask(lambda: table.page(self._after, self._until, self._config.page_rows))
            if page.after is not None:
                cleaned = await in_thread(self._cleaned, page)
                cursor = cursor_text(page.after)
                if cleaned.bad:
                    outlet.set_aside(cleaned.bad)
                await outlet.put(cleaned.series, cursor=cursor)
                self._after = page.after
            if page.is_last:
                return

    async def _is_due(self, table: Table) -> bool:
        """Whether there is a key that was there `lag_s` ago; it is what is read up to."""
        now_s = self._context.clock.monotonic_s()
        highest = await self._ask(table.highest)
        if highest is not None and (not self._highest or self._highest[-1][1] != highest):
            self._highest.append((now_s, highest))
        while self._highest and self._highest[0][0] <= now_s - self._config.lag_s:
            self._until = self._highest.popleft()[1]
        return self._until is not None

    async def _ask(self, call: Any) -> Any:
        return await abandonable(call, self._config.deadline_s, f"source {self._context.name}: the database")

    def _table(self) -> Table:
        config, path = self._config, f"sources.{self._context.name}.url"
        url = expanded(config.url, self._context.folder, path)
        engine = new_engine(self._sa, url, dict(config.connect_args), path)
        return Table(
            self._sa,
            engine,
            table=config.table,
            query=config.query,
            key=config.key,
            columns=self._cleaner.columns_wanted,
        )

    def _cleaned(self, page: Page) -> Cleaned:
        """Rows have no line; their key stands first in their text."""
        columns: dict[str, Sequence[Any]] = dict(zip(page.columns, zip(*page.rows, strict=True), strict=False))
        return self._cleaner.columns(columns, [0] * len(page.rows), arrived_ns=self._context.stamp.now_ns)
