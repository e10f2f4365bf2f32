"""Times as a person gives them to a command: ISO 8601, UTC nanoseconds, or so long ago (90s, 15m, 2h, 7d)."""

import re
import time

import typer

_AGO = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def since(text: str | None, flag: str = "--since") -> str | None:
    """What the station understands: it reads ISO 8601 and nanoseconds itself.  Raises `typer.BadParameter`."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return str(max(0, time.time_ns() - int(ago[1]) * _UNIT_S[ago[2]] * 10**9))
    if not text[:1].isdigit():
        raise typer.BadParameter(f"{text!r} is no time: e.g. 2h, or 2025-01-31T12:00:00Z", param_hint=flag)
    return text
