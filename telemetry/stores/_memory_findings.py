"""Anomalies and windows in memory: what the store's questions about them mean, in its plainest form."""

from collections.abc import Sequence

import pyarrow as pa

from telemetry.anomaly import Anomaly, Asked
from telemetry.ports import Span
from telemetry.stores._anomalies import bare
from telemetry.stores._buckets import bounds
from telemetry.stores._windows import Window, rows_of, table_of
from telemetry.window import Windows

Stream = tuple[str, str, str, int]  # device, sensor, kind, width


class Findings:
    """By identity, the newest version of each."""

    def __init__(self) -> None:
        self._anomalies: dict[str, Anomaly] = {}
        self._windows: dict[Stream, dict[tuple[int, str], Window]] = {}

    def put_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """See `Store`."""
        for anomaly in anomalies:
            kept = self._anomalies.get(anomaly.id)
            if kept is None or anomaly.version > kept.version:
                self._anomalies[anomaly.id] = anomaly

    def anomalies(self, asked: Asked) -> list[Anomaly]:
        """See `Store`."""
        found = sorted((a for a in self._anomalies.values() if _is_asked(a, asked)), key=_order)
        return [bare(a) for a in found[: asked.limit]]

    def anomaly(self, id_: str) -> Anomaly | None:
        """See `Store`."""
        return self._anomalies.get(id_)

    def put_windows(self, windows: Sequence[Windows]) -> None:
        """See `Store`."""
        for some in windows:
            of_stream = self._windows.setdefault((some.device, some.sensor, some.kind, some.width_ns), {})
            for row in rows_of(some):
                kept = of_stream.get((row.t, row.session))
                if kept is None or row.revision > kept.revision:
                    of_stream[row.t, row.session] = row

    def windows(self, span: Span, kind: str, width_ns: int, limit: int) -> pa.Table:
        """See `Store`."""
        first_ns, last_ns = bounds(span.from_ns, span.to_ns)
        of_stream = self._windows.get((span.device, span.sensor, kind, width_ns), {})
        rows = [row for _, row in sorted(of_stream.items()) if first_ns <= row.t <= last_ns and row.count]
        return table_of(rows[:limit])

    def delete_device(self, device: str) -> None:
        """Forget all of it."""
        self._anomalies = {id_: a for id_, a in self._anomalies.items() if a.device != device}
        self._windows = {stream: kept for stream, kept in self._windows.items() if stream[0] != device}

    def prune(self, cut_ns: int) -> None:
        """Forget what starts before."""
        self._anomalies = {id_: a for id_, a in self._anomalies.items() if a.start_ns >= cut_ns}
        for of_stream in self._windows.values():
            for key in [key for key in of_stream if key[0] < cut_ns]:
                del of_stream[key]


def _order(anomaly: Anomaly) -> tuple[int, str]:
    return -anomaly.start_ns, anomaly.id


def _is_asked(anomaly: Anomaly, asked: Asked) -> bool:
    first_ns, last_ns = bounds(asked.from_ns, asked.to_ns)
    return (
        first_ns <= last_ns
        and anomaly.start_ns <= last_ns
        and anomaly.end_ns >= first_ns
        and asked.device in (None, anomaly.device)
        and asked.kind in (None, anomaly.kind)
        and asked.severity in (None, anomaly.severity)
        and asked.is_open in (None, anomaly.is_open)
        and (asked.after is None or _order(anomaly) > (-asked.after[0], asked.after[1]))
    )
