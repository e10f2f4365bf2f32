"""Whether everything arrived: what is missing, came again, came late or was dropped, and whose clock is wrong."""

from sensorline.kibana.boards import Board, Control, Panel
from sensorline.kibana.charts import BLUE, CRITICAL, RED, YELLOW, Number, Plot, Table
from sensorline.kibana.columns import Column, by, count, distinct, latest, newest, number, over_time
from sensorline.kibana.views import View, Views, object_id


def quality(views: Views, prefix: str) -> Board:
    """Data quality."""
    view = views.sessions
    wrong = count("wrong", "Sessions with a wrong clock", where="clock_is_skewed: true")
    numbers = (
        Number("sessions", "Sessions", view, distinct("sessions", "Sessions", "session")),
        Number("missing", "Batches missing", view, _missing()),
        Number("dropped", "Readings dropped by devices", view, _dropped()),
        Number("wrong", "Sessions with a wrong clock", view, wrong),
    )
    devices = by(view, "device", "Device", size=20, order="missing")
    time = over_time(view)
    return Board(
        object_id(prefix, "quality"),
        "Sensorline: data quality",
        "Every session by when it was last heard of: what is missing, came again, came late or was dropped.",
        (
            tuple(Panel(shown, 12, 6) for shown in numbers),
            (
                Panel(Plot("over-time", "By last batch received", view, time, _faults(), None, "bar_stacked"), 24, 12),
                Panel(Plot("by-device", "By device", view, devices, _faults(), None, "bar_horizontal_stacked"), 24, 12),
            ),
            (Panel(_clocks(view), 48, 12),),
            (Panel(_sessions(view), 48, 18),),
        ),
        controls=(Control("device", "Device", view, "device"),),
        since="now-7d",
    )


def _missing() -> Column:
    return number("missing", "Missing", "sum", "missing_batches", color=CRITICAL)


def _dropped() -> Column:
    return number("dropped", "Readings dropped", "sum", "dropped_readings")


def _faults() -> tuple[Column, ...]:
    """In batches."""
    return (
        _missing(),
        number("late", "Late", "sum", "late_batches", color=YELLOW),
        number("duplicate", "Received again", "sum", "duplicate_batches", color=BLUE),
        number("reordered", "Out of order", "sum", "reordered_batches", color=RED),
    )


def _clocks(view: View) -> Table:
    """A device's clock can differ by session: the least and the greatest offset, and the last."""
    return Table(
        "clocks",
        "Clocks and completeness by device",
        view,
        (
            by(view, "device", "Device", size=500, order="received"),
            distinct("sessions", "Sessions", "session"),
            number("received", "Readings received", "sum", "received_readings"),
            _missing(),
            number("late", "Late", "sum", "late_batches"),
            number("duplicate", "Received again", "sum", "duplicate_batches"),
            _dropped(),
            number("least", "Least clock offset", "min", "clock_offset_ns"),
            number("greatest", "Greatest clock offset", "max", "clock_offset_ns"),
            latest(view, "basis", "Known by", "clock_basis"),
        ),
        sort="missing",
    )


def _sessions(view: View) -> Table:
    return Table(
        "each",
        "Sessions, latest first",
        view,
        (
            by(view, "session", "Session", size=200, order="last"),
            latest(view, "device", "Device", "device"),
            newest(view, "last", "Last received", "last_received"),
            number("batches", "Batches", "sum", "received_batches"),
            _missing(),
            number("late", "Late", "sum", "late_batches"),
            number("duplicate", "Received again", "sum", "duplicate_batches"),
            number("rejected", "Readings rejected", "sum", "rejected_readings"),
            _dropped(),
            latest(view, "offset", "Clock offset", "clock_offset_ns"),
            latest(view, "skewed", "Clock is wrong", "clock_is_skewed"),
        ),
        sort="last",
        rows=30,
    )
