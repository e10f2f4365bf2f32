"""An alert as machines and people read it; every channel says the same.

    {"v": 1, "key", "kind": "first"|"summary"|"more"|"test", "device": "..."|null, "severity", "text",
     "anomalies": [{"id", "event": "opened"|"raised"|"closed", "device", "session", "stream", "kind", "severity",
                    "start_ns", "end_ns", "open", "score", "words", "detector", "received_ns"}],
     "more": {"<kind>": <count>}}

Times are integer UTC nanoseconds.  `key` is the same whenever the same is told again.
"""

from typing import Any

import orjson

from consumers.alerting import Alert, Event, Item, Kind

VERSION = 1


def document(alert: Alert) -> dict[str, Any]:
    """As plain values."""
    return {
        "v": VERSION,
        "key": alert.key,
        "kind": str(alert.kind),
        "device": alert.device or None,
        "severity": str(alert.severity),
        "text": text(alert),
        "anomalies": [_item(item) for item in alert.items],
        "more": dict(alert.more),
    }


def body(alert: Alert) -> bytes:
    """As JSON."""
    return orjson.dumps(document(alert))


def subject(alert: Alert) -> str:
    """One line."""
    said = _line(alert.items[0]) if alert.items else ""
    rest = len(alert.items) - 1 + sum(alert.more.values())
    if alert.kind is Kind.TEST:
        return "test: Sensorline can tell you of anomalies"
    where = f"{alert.device}: " if alert.device else ""
    if not said:
        return f"[{alert.severity}] {where}{rest} more anomalies"
    return f"[{alert.severity}] {where}{said}" + (f" (and {rest} more)" if rest else "")


def text(alert: Alert) -> str:
    """All of it, in lines."""
    lines = [subject(alert)]
    if len(alert.items) > 1:
        lines += [f"- {_line(item)}" for item in alert.items]
    if alert.more:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(alert.more.items()))
        lines.append(f"{sum(alert.more.values())} more: {kinds}")
    return "\n".join(lines)


def _line(item: Item) -> str:
    """In words; a device's or detector's text stays on its line."""
    over = {Event.OPENED: "", Event.RAISED: " (worse)", Event.CLOSED: " (over)"}[item.event]
    return " ".join(item.anomaly.words.split()) + over


def _item(item: Item) -> dict[str, Any]:
    one = item.anomaly
    return {
        "id": one.id,
        "event": str(item.event),
        "device": one.device,
        "session": one.session,
        "stream": one.stream,
        "kind": one.kind,
        "severity": str(one.severity),
        "start_ns": one.start_ns,
        "end_ns": one.end_ns,
        "open": one.is_open,
        "score": one.score,
        "words": one.words,
        "detector": one.detector,
        "received_ns": one.received_ns,
    }
