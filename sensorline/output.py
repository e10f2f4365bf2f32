"""What a person or a machine reads: rich on a terminal, JSON lines with `--json`, progress on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # rich takes long to import: not for --json, not for a shell's completion
    from rich.console import Console


def stdout() -> "Console":
    """The answer's console; no colours and no wrapping where it is not a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)
    return console


def stderr() -> "Console":
    """The console of progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def json_line(value: Any) -> None:
    """One value as one line, written at once: a reader at the other end of a pipe may be waiting."""
    sys.stdout.write(json.dumps(value, separators=(",", ":"), default=str) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for the person, on standard output, written at once."""
    print(text, flush=True)


def remark(text: str) -> None:
    """A line for the person, on standard error, whatever standard output is for."""
    print(text, file=sys.stderr, flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A plain table; `empty` is said instead when there are no rows.  Numbers stand to the right."""
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    if not cells:
        stdout().print(empty)
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for k, column in enumerate(columns):
        numbers = all(isinstance(row[k], int | float) for row in cells)
        made.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        made.add_row(*(Text(_cell(value)) for value in row))
    stdout().print(made)


def when(ns: int | None) -> str:
    """UTC nanoseconds for a person, to the second; empty for none."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if ns else ""


class Progress(Protocol):
    """A bar that is told how far the work is."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Units of work done, and how many there are when that is known or has changed."""
        ...


@contextmanager
def progress(what: str, *, total: int | None = None, size: bool = False) -> Iterator[Progress]:
    """A bar on standard error (nothing where that is no terminal); `size` shows bytes instead of counts."""
    from rich import progress as bars

    counts = (bars.DownloadColumn(), bars.TransferSpeedColumn()) if size else (bars.MofNCompleteColumn(),)
    console = stderr()
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), *counts, bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=total)

        def move(done: int, total: int | None = None) -> None:
            shown.update(task, completed=done, total=total)

        yield move


@contextmanager
def status(what: str) -> Iterator[Callable[[str], None]]:
    """A line on standard error that is written anew (nothing where that is no terminal)."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(what) as shown:
        yield shown.update


def plain(value: Mapping[str, Any]) -> str:
    """`a 1, b 2`: a short mapping in a sentence."""
    return ", ".join(
        f"{name} {number:,}" if isinstance(number, int) else f"{name} {number}" for name, number in value.items()
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
