"""`${file:name}` in an option: the file's first line, read each time, so that a changed secret needs no restart."""

import re
from pathlib import Path

from telemetry.errors import Misconfigured

_FILE = re.compile(r"\$\{file:([^}]+)\}")
SECRET_CHARS_MAX = 8192


def expanded(text: str, folder: Path, path: str) -> str:
    """The text with each file's first line in its place.  Raises `Misconfigured` at `path`; blocking."""

    def read(found: re.Match[str]) -> str:
        file = folder / found[1].strip()
        try:
            with file.open(encoding="utf-8") as opened:
                return opened.readline(SECRET_CHARS_MAX).strip()
        except (OSError, UnicodeDecodeError) as e:
            raise Misconfigured(f"{path}: {file} cannot be read: {type(e).__name__}", path=path) from e

    return _FILE.sub(read, text)
