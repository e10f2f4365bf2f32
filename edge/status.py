"""What `sensorline edge status` shows, as JSON: put together from the agent's parts when somebody asks."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.gauge import Rates
from edge.sender import News
from edge.settings import SpoolSettings
from edge.spooled import Depth, Lane, Refused


def spool(depth: Depth, settings: SpoolSettings, folder: Path, now_ns: int, rates: Rates) -> dict[str, Any]:
    """Depth, age, and how long there is room."""
    free_bytes = shutil.disk_usage(folder).free - settings.disk_free_bytes_min
    room_bytes = max(0, min(settings.size_bytes_max - depth.size_bytes, free_bytes))
    oldest_ns = depth.oldest_put_ns
    return asdict(depth) | {
        "reports": list(depth.reports),
        "size_bytes_max": settings.size_bytes_max,
        "room_bytes": room_bytes,
        "on_full": settings.on_full,
        "oldest_age_s": None if oldest_ns is None else round(max(0.0, (now_ns - oldest_ns) / 1e9), 1),
        "hours_left": rates.hours_left(room_bytes),
        "growth_bytes_per_s": rates.growth_bytes_per_s,
        "writes_per_minute": rates.writes_per_minute,
    }


def lanes(news: Mapping[Lane, News]) -> dict[str, Any]:
    """Each lane, and of both together the last receipt, the last error and the alarm."""
    receipt = max(((n.last_receipt_ns, n.last_receipt) for n in news.values() if n.last_receipt_ns), default=None)
    error = max(((n.last_error_ns, n.last_error) for n in news.values() if n.last_error_ns), default=None)
    return {
        "lanes": {str(lane): _lane(one) for lane, one in news.items()},
        "last_receipt": None
        if receipt is None or receipt[1] is None
        else {"at_ns": receipt[0], "session": receipt[1].session, "seq": receipt[1].seq},
        "last_error": None if error is None else {"at_ns": error[0], "text": error[1]},
        "alarm": next((n.alarm for n in news.values() if n.alarm), ""),
    }


def aside(refused: Iterable[Refused]) -> list[dict[str, Any]]:
    """Batches that the gateway refused, with its words."""
    return [
        {**one.id._asdict(), "readings": one.readings, "reason": one.reason, "at_ns": one.aside_ns} for one in refused
    ]


def _lane(news: News) -> dict[str, Any]:
    return {
        "acknowledged": news.acknowledged,
        "acknowledged_readings": news.acknowledged_readings,
        "duplicates": news.duplicates,
        "set_aside": news.set_aside,
        "tries_failed": news.tries_failed,
        "alarm": news.alarm,
    }
