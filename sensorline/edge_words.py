"""`sensorline edge status` for people."""

from typing import Any

from sensorline import output

KIB = 1024


def say(status: dict[str, Any]) -> None:
    """The whole of it, the trouble first."""
    from rich.table import Table
    from rich.text import Text

    rows = [row for row in _rows(status) if row[1]]
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, words, style in rows:
        made.add_row(name, Text(words, style=style))
    console = output.stdout()
    console.print(made)
    sources = status.get("sources")
    if sources:
        console.print()
        columns = ["source", "type", "state", "readings", "restarts", "bad rows", "lost", "last error"]
        output.table(columns, [_source(name, s) for name, s in sources.items()], empty="")


def _rows(status: dict[str, Any]) -> list[tuple[str, str, str]]:
    spool, plain = status["spool"], ""
    clock, last = status.get("clock"), status.get("last_receipt")
    error, now_ns = status.get("last_error"), status["now_ns"]
    bad = "bold red"
    return [
        ("ALARM", status.get("alarm", ""), bad),
        ("edge", _edge(status), plain),
        ("spool", _depth(spool), bad if spool["is_full"] else plain),
        ("room", _room(spool), plain),
        ("dropped", output.plain(spool["dropped"]), bad),
        ("refused", _refused(spool), bad),
        ("reports", "; ".join(spool["reports"]), bad),
        ("receipt", f"{last['session']}/{last['seq']}, {_ago(now_ns, last['at_ns'])}" if last else "", plain),
        ("error", f"{error['text']}, {_ago(now_ns, error['at_ns'])}" if error else "", plain),
        ("clock", _clock(clock) if clock else "", plain if clock and clock["synchronised"] else "yellow"),
        ("settings", f"version {status['settings']}" if "settings" in status else "", plain),
        ("writes", _writes(spool), plain),
    ]


def _edge(status: dict[str, Any]) -> str:
    if not status["running"]:
        return f"{status['device']}: no agent runs"
    return f"{status['device']} over {status['transport']}, session {status['session']}, process {status['pid']}"


def _depth(spool: dict[str, Any]) -> str:
    words = f"{spool['batches']:,} batches, {spool['readings']:,} readings, {_size(spool['size_bytes'])}"
    if spool["oldest_age_s"] is not None:
        words += f", the oldest {_span(spool['oldest_age_s'])} old"
    return words + (f"; FULL ({spool['on_full']})" if spool["is_full"] else "")


def _room(spool: dict[str, Any]) -> str:
    words = f"{_size(spool['room_bytes'])} of {_size(spool['size_bytes_max'])}"
    if spool["hours_left"] is not None:
        words += f", full in {_span(spool['hours_left'] * 3600)} at this rate"
    return words


def _refused(spool: dict[str, Any]) -> str:
    if not spool["aside_batches"]:
        return ""
    return f"{spool['aside_batches']:,} batches: {output.plain(spool['aside'])} (`sensorline edge aside`)"


def _clock(clock: dict[str, Any]) -> str:
    words = "synchronised" if clock["synchronised"] else "not synchronised"
    held = ", readings are held back until it is" if clock["holding"] else ""
    return f"{words}, {clock['offset_s']:+.3f} s from the machine's{held}"


def _writes(spool: dict[str, Any]) -> str:
    rate = spool["writes_per_minute"]
    return "" if rate is None else f"{rate:.1f} a minute to the card"


def _source(name: str, source: dict[str, Any]) -> list[Any]:
    bad, lost = output.plain(source["bad"]), output.plain(source["lost"])
    state = [source["type"], source["state"], source["readings"], source["restarts"]]
    return [name, *state, bad, lost, source["last_error"]]


def _ago(now_ns: int, then_ns: int) -> str:
    return f"{_span(max(0, now_ns - then_ns) / 1e9)} ago"


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < KIB:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= KIB
    return f"{size_bytes:.1f} GiB"
