"""What was found: how much of it, where, and in words."""

from sensorline.kibana.boards import Board, Control, Panel
from sensorline.kibana.charts import CRITICAL, INFO, WARNING, Number, Plot, Table
from sensorline.kibana.columns import Column, by, count, distinct, latest, newest, number, over_time
from sensorline.kibana.fields import RECORDS
from sensorline.kibana.views import View, Views, object_id
from telemetry.anomaly import Severity

_COLORS = {Severity.CRITICAL: CRITICAL, Severity.WARNING: WARNING, Severity.INFO: INFO}


def anomalies(views: Views, prefix: str) -> Board:
    """Anomalies."""
    view = views.anomalies
    every = count("anomalies", "Anomalies")
    critical = count("critical", "Critical", where='severity: "critical"')
    numbers = (
        Number("anomalies", "Anomalies", view, every),
        Number("open", "Still open", view, count("open", "Still open", where="is_open: true")),
        Number("critical", "Critical", view, critical),
        Number("devices", "Devices concerned", view, distinct("devices", "Devices", "device")),
    )
    time = over_time(view)
    kinds = by(view, "kind", "Kind", size=12, order="anomalies")
    by_kind = Plot("by-kind", "By kind", view, time, (every,), kinds, "bar_stacked")
    by_severity = Plot("by-severity", "By severity", view, time, _by_severity(), None, "bar_stacked")
    return Board(
        object_id(prefix, "anomalies"),
        "Sensorline: anomalies",
        "What was found, how bad it is, which devices it concerns, and what happened in words.",
        (
            tuple(Panel(shown, 12, 6) for shown in numbers),
            (Panel(by_severity, 24, 12), Panel(by_kind, 24, 12)),
            (Panel(_latest(view), 48, 20),),
            (Panel(_by_device(view), 24, 13), Panel(_devices(view), 24, 13)),
        ),
        controls=(
            Control("device", "Device", view, "device"),
            Control("severity", "Severity", view, "severity"),
            Control("kind", "Kind", view, "kind"),
        ),
        since="now-7d",
    )


def _by_severity() -> tuple[Column, ...]:
    """A column each and no split: so each has its own colour, whichever of them there are."""
    return tuple(
        count(str(severity), severity.capitalize(), where=f'severity: "{severity}"', color=color)
        for severity, color in _COLORS.items()
    )


def _latest(view: View) -> Table:
    texts = (("device", "Device"), ("severity", "Severity"), ("kind", "Kind"), ("words", "What happened"))
    return Table(
        "latest",
        "Latest first",
        view,
        (
            by(view, "id", "Anomaly", size=100, order="when"),
            newest(view, "when", "Start", "@timestamp"),
            *(latest(view, field, label, field) for field, label in texts),
            latest(view, "score", "Score (times the threshold)", "score", decimals=1),
            latest(view, "is_open", "Still open", "is_open"),
        ),
        sort="when",
        widths=(("when", 190), ("device", 130), ("severity", 90), ("kind", 130), ("score", 110), ("is_open", 90)),
        hidden=("id",),
    )


def _by_device(view: View) -> Plot:
    devices = by(view, "device", "Device", size=20, order=RECORDS)
    return Plot("by-device", "By device", view, devices, _by_severity(), None, "bar_horizontal_stacked")


def _devices(view: View) -> Table:
    return Table(
        "most",
        "Devices with most anomalies",
        view,
        (
            by(view, "device", "Device", size=100, order="anomalies"),
            count("anomalies", "Anomalies"),
            number("worst", "Greatest score", "max", "score", decimals=1),
            newest(view, "seen", "Latest", "@timestamp"),
        ),
        sort="anomalies",
    )
