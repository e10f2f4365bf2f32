"""A stranger's names made fit for a key, a column or a file."""

import re
from typing import Any


def safe_name(name: str) -> str:
    """`name` made fit for a key: at most 64 of [A-Za-z0-9_.-]."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name[:64])
    return "_" * max(1, len(safe)) if safe in ("", ".", "..") else safe


def free(name: str, taken: dict[str, Any]) -> str:
    """`name`, or a numbered one where two names became the same."""
    free, n = name, 2
    while free in taken:
        free, n = f"{name[:56]}_{n}", n + 1
    return free
