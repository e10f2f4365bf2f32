"""One device: what each of its sensors measured, as the average of each step of time within its least and greatest."""

from sensorline.kibana.boards import Board, Control, Panel, Row
from sensorline.kibana.charts import (
    BLUE,
    GREEN,
    PALE_BLUE,
    PALE_GREEN,
    PALE_RED,
    PURPLE,
    RED,
    YELLOW,
    Number,
    Plot,
    Table,
)
from sensorline.kibana.columns import by, count, latest, newest, number, over_time
from sensorline.kibana.views import View, Views, object_id

_AXES = (("x", RED, PALE_RED), ("y", GREEN, PALE_GREEN), ("z", BLUE, PALE_BLUE))


def device(views: Views, prefix: str) -> Board:
    """One device."""
    readings = views.readings
    battery = 'sensor: "battery"'
    level = latest(readings, "level", "Battery", "level", style="percent")
    fastest = number("fastest", "Fastest", "max", "speed", unit="m/s", decimals=1)
    numbers = (
        Number("seen", "Last seen", readings, newest(readings, "seen", "Last seen", "@timestamp")),
        Number("readings", "Readings", readings, count("readings", "Readings")),
        Number("battery-now", "Battery", readings, level, where=battery),
        Number("fastest", "Fastest (GPS)", readings, fastest, where='sensor: "location"'),
    )
    return Board(
        object_id(prefix, "device"),
        "Sensorline: one device",
        "Choose a device above. Lines are averages; the pale ones are the least and the greatest of each step of time.",
        (
            tuple(Panel(shown, 12, 6) for shown in numbers),
            _motion(readings, "acceleration", "Acceleration", "m/s²"),
            _motion(readings, "gyroscope", "Rotation", "rad/s"),
            (Panel(_speed(readings), 16, 11), Panel(_battery(readings), 16, 11), Panel(_pressure(readings), 16, 11)),
            (Panel(_sensors(readings), 48, 12),),
        ),
        controls=(Control("device", "Device", readings, "device", is_single=True),),
        since="now-1h",
        refresh_ms=10_000,
    )


def _motion(view: View, sensor: str, name: str, unit: str) -> Row:
    """A panel an axis: three bands in one cannot be told apart."""
    return tuple(
        Panel(
            Plot(
                f"{sensor}-{axis}",
                f"{name} {axis} ({unit})",
                view,
                over_time(view),
                (
                    number("low", "Least", "min", axis, unit=unit, decimals=2, color=pale),
                    number("high", "Greatest", "max", axis, unit=unit, decimals=2, color=pale),
                    number("mean", "Average", "average", axis, unit=unit, decimals=2, color=strong),
                ),
                where=f'sensor: "{sensor}"',
                y_title=unit,
            ),
            16,
            11,
        )
        for axis, strong, pale in _AXES
    )


def _speed(view: View) -> Plot:
    ys = (
        number("mean", "Average", "average", "speed", unit="m/s", decimals=1, color=PURPLE),
        number("high", "Greatest", "max", "speed", unit="m/s", decimals=1, color="#cabadd"),
    )
    return Plot(
        "speed",
        "Speed by GPS (m/s)",
        view,
        over_time(view),
        ys,
        where='sensor: "location"',
        y_title="m/s",
        is_from_zero=True,
    )


def _battery(view: View) -> Plot:
    ys = (number("level", "Battery", "average", "level", style="percent", color=YELLOW),)
    return Plot(
        "battery",
        "Battery",
        view,
        over_time(view),
        ys,
        where='sensor: "battery"',
        is_joined=True,
        is_from_zero=True,
    )


def _pressure(view: View) -> Plot:
    ys = (
        number("low", "Least", "min", "pressure", unit="hPa", decimals=1, color=PALE_BLUE),
        number("high", "Greatest", "max", "pressure", unit="hPa", decimals=1, color=PALE_BLUE),
        number("mean", "Average", "average", "pressure", unit="hPa", decimals=1, color=BLUE),
    )
    return Plot(
        "pressure",
        "Air pressure (hPa)",
        view,
        over_time(view),
        ys,
        where='sensor: "barometer"',
        y_title="hPa",
        is_joined=True,
    )


def _sensors(view: View) -> Table:
    return Table(
        "sensors",
        "What it sends",
        view,
        (
            by(view, "sensor", "Sensor", size=100, order="readings"),
            count("readings", "Readings"),
            newest(view, "seen", "Last reading", "@timestamp"),
            latest(view, "session", "Session", "session"),
        ),
        sort="readings",
    )
