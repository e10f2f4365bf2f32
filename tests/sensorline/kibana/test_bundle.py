"""What is installed: the promises of each object."""

import json
from importlib import resources

import pytest

from sensorline.kibana.boards import Board
from sensorline.kibana.bundle import bundle, ndjson
from sensorline.kibana.charts import Plot, columns_of
from sensorline.kibana.fields import fields_of
from sensorline.kibana.maps import Map
from sensorline.kibana.views import units
from telemetry.reading import CATALOGUE


def board(name: str) -> Board:
    (found,) = [b for b in bundle().boards if b.id == f"sensorline-{name}"]
    return found


def test_four_data_views_four_dashboards_and_a_map_one_a_line() -> None:
    objects = [json.loads(line) for line in ndjson(bundle().objects()).splitlines()]
    kinds = [o["type"] for o in objects]
    assert kinds == ["index-pattern"] * 4 + ["map"] + ["dashboard"] * 4, "what is referred to comes first"
    assert [o["attributes"]["title"] for o in objects[:4]] == ["readings-*", "anomalies", "sessions", "windows-*"]


def test_the_same_templates_make_the_same_bytes() -> None:
    assert ndjson(bundle().objects()) == ndjson(bundle().objects())


def test_two_installations_share_no_object_and_no_index() -> None:
    one, other = bundle("site1-"), bundle("site2-")
    assert not {(o["type"], o["id"]) for o in one.objects()} & {(o["type"], o["id"]) for o in other.objects()}
    assert "site2" not in ndjson(one.objects())
    assert all(view.title.startswith("site1-") for view in one.views)


@pytest.mark.parametrize("index", ["readings", "anomalies", "sessions", "windows"])
def test_fields_are_those_of_the_packaged_mapping(index: str) -> None:
    folder = resources.files("telemetry.stores").joinpath("elasticsearch_templates")
    mapping = json.loads(folder.joinpath(f"{index}_mapping.json").read_text())
    plain = {name for name, about in mapping["properties"].items() if about.get("type", "object") != "object"}
    found = fields_of(index)
    assert plain <= set(found)
    assert {name.partition(".")[0] for name in found} <= set(mapping["properties"])
    assert "samples" not in found, "an object that is not enabled is not in the index"


def test_a_unit_is_named_only_where_every_sensor_has_the_same() -> None:
    known = units()
    assert known["speed"] == "m/s"
    assert known["celsius"] == "°C"
    assert not {"x", "y", "z"} & set(known), "m/s² of one sensor, µT of another"
    for name, unit in known.items():
        assert unit
        owners = [s for s in CATALOGUE.values() if name in s.by_name]
        assert len({s.by_name[name].unit for s in owners}) == 1


def test_shares_are_percent_and_nanoseconds_are_times() -> None:
    by_id = {o["id"]: o for o in bundle().objects() if o["type"] == "index-pattern"}
    of_readings = json.loads(by_id["sensorline-readings"]["attributes"]["fieldFormatMap"])
    assert {name: f["id"] for name, f in of_readings.items()} == dict.fromkeys(
        ("disk_used", "level", "memory_used"), "percent"
    )
    of_sessions = json.loads(by_id["sensorline-sessions"]["attributes"]["fieldFormatMap"])
    assert of_sessions["clock_offset_ns"]["params"]["inputFormat"] == "nanoseconds"


def test_one_device_has_a_band_for_each_axis_of_motion() -> None:
    shown = {p.shown.key: p.shown for row in board("device").rows for p in row}
    for sensor in ("acceleration", "gyroscope"):
        for axis in "xyz":
            plot = shown[f"{sensor}-{axis}"]
            assert isinstance(plot, Plot)
            assert plot.where == f'sensor: "{sensor}"', "x is a field of several sensors"
            assert [(y.operation, y.field) for y in plot.ys] == [("min", axis), ("max", axis), ("average", axis)]
    assert {"speed", "battery", "pressure"} <= set(shown)
    assert [c.field for c in board("device").controls] == ["device"]


def test_a_field_that_several_sensors_have_is_never_shown_without_its_sensor() -> None:
    """`level` is a battery's and a screen's, `x` an acceleration and a field strength."""
    shared = {
        name for s in CATALOGUE.values() for name in s.by_name if sum(name in o.by_name for o in CATALOGUE.values()) > 1
    }
    for one in bundle().boards:
        for panel in (p for row in one.rows for p in row):
            if isinstance(panel.shown, Map) or panel.shown.view.index != "readings":
                continue
            for column in columns_of(panel.shown):
                if column.field in shared:
                    assert "sensor:" in column.where + panel.shown.where, (panel.shown.title, column.field)


def test_nothing_is_fetched_from_the_internet() -> None:
    assert "EMS" not in ndjson(bundle().objects())


def test_panels_fill_their_rows() -> None:
    for one in bundle().boards:
        for row in one.rows:
            assert sum(panel.width for panel in row) == 48, one.title
            assert len({panel.height for panel in row}) == 1
