"""A column of cells, as text, JSON values or arrays -> numbers, texts, truths or times; which are wrong is told beside.

Pure.  Whole columns at a time; only a column that is not all right is looked at cell by cell.  Nothing here raises
for what stands in a cell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from telemetry.batch import TEXT_CHARS_MAX

Cells: TypeAlias = Sequence[Any] | npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
Reals: TypeAlias = npt.NDArray[np.float64]

NUMBER_CHARS_MAX = 400  # the longest float64 in full has some 1,100; nobody writes it
_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


class Wrong:
    """Stands in a column where a value could not even be asked for; wrong as anything."""


WRONG = Wrong()


@dataclass(frozen=True, slots=True)
class Numbers:
    """`values` (n,): NaN where absent or wrong.  The masks are None when no cell is so."""

    values: Reals
    unreadable: Mask | None = None
    infinite: Mask | None = None  # or NaN, said in so many words


def is_absent(cell: Any, absent: frozenset[str]) -> bool:
    """None, an empty text, or one that the mapping declares to mean nothing."""
    return cell is None or (type(cell) is str and (not cell or cell.isspace() or cell.strip() in absent))


def numbers(cells: Cells, absent: frozenset[str]) -> Numbers:
    """Float64 of texts, Python numbers or an array (a masked one's masked cells are absent)."""
    if isinstance(cells, np.ndarray):
        return _of_array(cells, absent)
    quick = _quick(cells)
    if quick is not None and np.isfinite(quick).all():
        return Numbers(quick)
    return _one_by_one(cells, absent)


def texts(cells: Cells, absent: frozenset[str]) -> tuple[tuple[str | None, ...], Mask | None]:
    """Texts of texts and numbers, None where absent or wrong; which are wrong."""
    found = [_text(cell, absent) for cell in _listed(cells)]
    return tuple(None if f is WRONG else cast(str | None, f) for f in found), _mask([f is WRONG for f in found])


def truths(cells: Cells, absent: frozenset[str]) -> tuple[tuple[bool | None, ...], Mask | None]:
    """Booleans of booleans, 0 and 1, and the usual words; None where absent or wrong; which are wrong."""
    found = [_truth(cell, absent) for cell in _listed(cells)]
    return tuple(None if f is WRONG else cast(bool | None, f) for f in found), _mask([f is WRONG for f in found])


def _quick(cells: Sequence[Any]) -> Reals | None:
    """All texts or all numbers; None when it is not as simple as that."""
    kinds = set(map(type, cells))
    if not (kinds == {str} or kinds <= {float, int}):
        return None
    try:
        if kinds == {str} and "_" in "".join(cells):  # 1_000 is a number to Python only
            return None
        return np.array(cells, np.float64)
    except (ValueError, OverflowError):
        return None


def _of_array(cells: npt.NDArray[Any], absent: frozenset[str]) -> Numbers:
    if cells.dtype.kind not in "fiu":
        return _one_by_one(_listed(cells), absent)
    gone = np.ma.getmaskarray(cells) if isinstance(cells, np.ma.MaskedArray) else None
    values: Reals = np.array(np.ma.getdata(cells), np.float64)
    infinite = ~np.isfinite(values)
    if gone is not None:
        infinite &= ~gone
        values[gone] = np.nan
    values[infinite] = np.nan
    return Numbers(values, None, infinite if infinite.any() else None)


def _one_by_one(cells: Sequence[Any], absent: frozenset[str]) -> Numbers:
    found = [_number(cell, absent) for cell in cells]
    values: Reals = np.array([math.nan if f is None or f is WRONG else f for f in found], np.float64)
    unreadable = _mask([f is WRONG for f in found])
    infinite = _mask([type(f) is float and not math.isfinite(f) for f in found])
    if infinite is not None:
        values[infinite] = np.nan
    return Numbers(values, unreadable, infinite)


def _number(cell: Any, absent: frozenset[str]) -> float | Wrong | None:
    if is_absent(cell, absent):
        return None
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, str | int | float | Decimal | np.number):
        return WRONG
    if isinstance(cell, str) and ("_" in cell or len(cell) > NUMBER_CHARS_MAX):
        return WRONG
    try:
        return float(cell)
    except OverflowError:
        return math.inf
    except (ValueError, TypeError):
        return WRONG


def _text(cell: Any, absent: frozenset[str]) -> str | Wrong | None:
    if is_absent(cell, absent):
        return None
    if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal | date | datetime):
        return WRONG
    if isinstance(cell, int) and abs(cell) >= 2**64:  # longer ones take quadratic time to write
        return WRONG
    text = str(cell)
    return text if len(text) <= TEXT_CHARS_MAX and is_unicode(text) else WRONG


def _truth(cell: Any, absent: frozenset[str]) -> bool | Wrong | None:
    if is_absent(cell, absent):
        return None
    if isinstance(cell, bool | np.bool_):
        return bool(cell)
    if isinstance(cell, str):
        return _TRUTHS.get(cell.strip().lower(), WRONG)
    return bool(cell) if isinstance(cell, int | float) and cell in (0, 1) else WRONG


def is_unicode(text: str) -> bool:
    """False when bytes that were no UTF-8 were smuggled in as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(cells: Cells) -> Sequence[Any]:
    """An array's cells as Python's values, None where masked."""
    return cast(Sequence[Any], cells.tolist()) if isinstance(cells, np.ndarray) else cells


def _mask(flags: list[bool]) -> Mask | None:
    return np.array(flags, np.bool_) if any(flags) else None
