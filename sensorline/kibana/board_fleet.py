"""The dashboard a person opens first: who is there, what arrives, and where they are."""

from sensorline.kibana.boards import Board, Panel
from sensorline.kibana.charts import Number, Plot, Table
from sensorline.kibana.columns import by, count, distinct, latest, newest, over_time
from sensorline.kibana.maps import Map
from sensorline.kibana.views import Views, object_id


def fleet(views: Views, prefix: str) -> Board:
    """Fleet overview."""
    readings, anomalies = views.readings, views.anomalies
    every = count("readings", "Readings")
    numbers = (
        Number("devices", "Devices seen", readings, distinct("devices", "Devices", "device")),
        Number("readings", "Readings", readings, every),
        Number("sensors", "Kinds of sensor", readings, distinct("sensors", "Sensors", "sensor")),
        Number("open", "Open anomalies", anomalies, count("open", "Open anomalies", where="is_open: true")),
    )
    by_device = by(readings, "device", "Device", size=10, order="readings")
    by_sensor = by(readings, "sensor", "Sensor", size=10, order="readings")
    time = over_time(readings)
    over_devices = Plot("by-device", "Readings by device", readings, time, (every,), by_device, "bar_stacked")
    over_sensors = Plot("by-sensor", "Readings by sensor", readings, time, (every,), by_sensor, "bar_stacked")
    return Board(
        object_id(prefix, "fleet"),
        "Sensorline: fleet overview",
        "Which devices are there, what they send, when each was last seen, and where.",
        (
            tuple(Panel(number, 12, 6) for number in numbers),
            (Panel(over_devices, 24, 12), Panel(over_sensors, 24, 12)),
            (Panel(_last_seen(views), 24, 18), Panel(Map("map", "Tracks and latest positions", readings), 24, 18)),
        ),
        since="now-24h",
        is_refreshing=True,
    )


def _last_seen(views: Views) -> Table:
    readings = views.readings
    return Table(
        "last-seen",
        "Devices, last seen first",
        readings,
        (
            by(readings, "device", "Device", size=500, order="seen"),
            newest(readings, "seen", "Last seen", "@timestamp"),
            count("readings", "Readings"),
            distinct("sensors", "Sensors", "sensor"),
            latest(readings, "battery", "Battery", "level", where='sensor: "battery" and level: *', style="percent"),
        ),
        sort="seen",
    )
