"""The bundle is right, and whatever is broken in it is found, where it is."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from sensorline.kibana.bundle import bundle, ndjson
from sensorline.kibana.validate import validate
from tests.sensorline.kibana.changed import FIELDS, Lines, Object, findings, fresh, inside

Change = Callable[[Lines], None]


@pytest.mark.parametrize("prefix", ["", "site7-", "a.b-"])
def test_what_is_installed_is_right(prefix: str) -> None:
    made = bundle(prefix)
    assert validate(ndjson(made.objects()), made.fields()) == []


def test_a_change_that_changes_nothing_is_right() -> None:
    def same(lines: Lines) -> None:
        with lines.layer("fleet", "by-device"), lines.map_layer(0), lines.controls("device"):
            pass

    assert findings(same) == []


# --- references -------------------------------------------------------------------------------------------------


def without_a_reference(lines: Lines) -> None:
    lines.of("dashboard", "fleet")["references"].pop()


def with_one_that_dangles(lines: Lines) -> None:
    lines.of("dashboard", "fleet")["references"][0]["id"] = "sensorline-nothing"


def with_one_of_another_type(lines: Lines) -> None:
    lines.of("dashboard", "fleet")["references"][0]["type"] = "search"


def with_one_that_is_not_used(lines: Lines) -> None:
    more = {"type": "index-pattern", "id": "sensorline-readings", "name": "gone:indexpattern-datasource-layer-layer"}
    lines.of("dashboard", "fleet")["references"].append(more)


def with_one_twice(lines: Lines) -> None:
    references = lines.of("dashboard", "fleet")["references"]
    references.append(dict(references[0]))


def without_the_view(lines: Lines) -> None:
    lines.objects.remove(lines.of("index-pattern", "sessions"))


def without_the_controls_reference(lines: Lines) -> None:
    board = lines.of("dashboard", "device")
    board["references"] = [r for r in board["references"] if "controlGroup" not in r["name"]]


def without_the_inner_reference(lines: Lines) -> None:
    with lines.panel("fleet", "by-device") as panel:
        panel["embeddableConfig"]["attributes"]["references"] = []


def with_another_name_inside_the_map(lines: Lines) -> None:
    with lines.map_layer(0) as layer:
        layer["sourceDescriptor"]["indexPatternRefName"] = "layer_9_source_index_pattern"


def with_the_wrong_view(lines: Lines) -> None:
    """Closed, but its fields are other ones."""
    for reference in lines.of("dashboard", "quality")["references"]:
        reference["id"] = "sensorline-readings"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_a_reference, "is used inside and is not there"),
        (with_one_that_dangles, "'sensorline-nothing', which is not in the bundle"),
        (with_one_of_another_type, "refers to the search"),
        (with_one_that_is_not_used, "is used by nothing inside"),
        (with_one_twice, "is there 2 times"),
        (without_the_view, "'sensorline-sessions', which is not in the bundle"),
        (without_the_controls_reference, "'controlGroup_device:optionsListDataView' is used inside and is not there"),
        (without_the_inner_reference, "differs from the dashboard's"),
        (with_another_name_inside_the_map, "'layer_9_source_index_pattern' is used inside and is not there"),
        (with_the_wrong_view, "no field 'missing_batches'"),
    ],
)
def test_references_are_closed_both_ways(change: Change, problem: str) -> None:
    found = findings(change)
    assert any(problem in f.problem for f in found), found
    assert all(f.path and f.mend for f in found)


# --- fields -----------------------------------------------------------------------------------------------------


def column(board: str, panel: str, key: str, **changes: object) -> Change:
    def change(lines: Lines) -> None:
        with lines.layer(board, panel) as layer:
            layer["columns"][key].update(changes)

    return change


def params(board: str, panel: str, key: str, **changes: object) -> Change:
    def change(lines: Lines) -> None:
        with lines.layer(board, panel) as layer:
            layer["columns"][key]["params"].update(changes)

    return change


def map_source(number: int, **changes: object) -> Change:
    def change(lines: Lines) -> None:
        with lines.map_layer(number) as layer:
            layer["sourceDescriptor"].update(changes)

    return change


def panel_query(query: str) -> Change:
    def change(lines: Lines) -> None:
        with lines.panel("device", "battery") as panel:
            panel["embeddableConfig"]["attributes"]["state"]["query"]["query"] = query

    return change


def style_field(lines: Lines) -> None:
    with lines.map_layer(1) as layer:
        layer["style"]["properties"]["fillColor"]["options"]["field"]["name"] = "devise"


def control_field(name: str) -> Change:
    def change(lines: Lines) -> None:
        with lines.controls("device") as controls:
            controls["device"]["explicitInput"]["fieldName"] = name

    return change


def view_time(lines: Lines) -> None:
    lines.of("index-pattern", "sessions")["attributes"]["timeFieldName"] = "@timestamp"


def view_title(lines: Lines) -> None:
    lines.of("index-pattern", "sessions")["attributes"]["title"] = "session"


def view_label(lines: Lines) -> None:
    with inside(lines.of("index-pattern", "readings")["attributes"], "fieldAttrs") as labels:
        labels["speeed"] = {"customLabel": "Speed"}


def view_format(lines: Lines) -> None:
    with inside(lines.of("index-pattern", "readings")["attributes"], "fieldFormatMap") as formats:
        formats["levle"] = formats.pop("level")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (column("device", "battery", "level", sourceField="levle"), "no field 'levle'"),
        (column("fleet", "by-device", "time", sourceField="device"), "date_histogram of 'device', which is keyword"),
        (column("device", "speed", "mean", sourceField="sensor"), "average of 'sensor', which is keyword"),
        (column("device", "speed", "mean", sourceField="@timestamp"), "average of '@timestamp', which is date_nanos"),
        (column("device", "speed", "mean", sourceField="___records___"), "average needs a field"),
        (column("device", "speed", "mean", operationType="mean"), "'mean' is no operation"),
        (column("device", "speed", "mean", dataType="string"), "says 'string', and its values are 'number'"),
        (column("device", "speed", "mean", isBucketed=True), "isBucketed does not fit average"),
        (column("fleet", "by-device", "device", sourceField="location"), "terms of 'location', which is geo_point"),
        (column("quality", "clocks", "basis", sourceField="seqs"), "'seqs' has no doc values"),
        (column("anomalies", "latest", "words", sourceField="samples"), "no field 'samples'"),
        (
            column("anomalies", "by-severity", "critical", filter={"query": "severty: 1", "language": "kuery"}),
            "severty",
        ),
        (params("fleet", "last-seen", "battery", sortField="device"), "by 'device', which is no time"),
        (params("fleet", "last-seen", "battery", sortField="when"), "no field 'when'"),
        (params("anomalies", "latest", "id", orderBy={"type": "column", "columnId": "score"}), "a last value"),
        (params("fleet", "last-seen", "device", size=0), "shows none of its values"),
        (params("fleet", "last-seen", "device", orderBy={"type": "column", "columnId": "no"}), "orders by 'no'"),
        (params("fleet", "last-seen", "device", orderBy={"type": "column", "columnId": "battery"}), "counts only some"),
        (panel_query('senor: "battery"'), "no field 'senor'"),
        (panel_query("level > 0.5"), "'level' is not indexed"),
        (panel_query("battery"), "names no field"),
        (panel_query("levle: *"), "no field 'levle'"),
        (map_source(0, geoField="position"), "no field 'position'"),
        (map_source(0, geoField="latitude"), "'latitude' is double, not a position"),
        (map_source(0, tooltipProperties=["device", "colour"]), "no field 'colour'"),
        (map_source(1, topHitsSplitField="vehicle"), "no field 'vehicle'"),
        (map_source(0, scalingType="TOP_HITS"), "does not fit a layer MVT_VECTOR"),
        (map_source(0, type="EMS_TMS"), "takes its data from EMS_TMS"),
        (style_field, "no field 'devise'"),
        (control_field("devices"), "no field 'devices'"),
        (control_field("session"), "'session' is not indexed"),
        (view_time, "no field '@timestamp'"),
        (view_title, "'session' is no index pattern of ours"),
        (view_label, "no field 'speeed'"),
        (view_format, "no field 'levle'"),
    ],
)
def test_every_field_is_in_our_templates_and_can_do_what_is_asked(change: Change, problem: str) -> None:
    found = findings(change)
    assert any(problem in f.problem for f in found), found


def test_a_misspelt_field_is_told_the_right_one() -> None:
    found = findings(column("device", "battery", "level", sourceField="levle"))
    assert ("did you mean 'level'?", True) in {(f.mend, f.path.endswith("columns.level")) for f in found}


# --- accessors --------------------------------------------------------------------------------------------------


def order(*names: str) -> Change:
    def change(lines: Lines) -> None:
        with lines.layer("fleet", "by-device") as layer:
            layer["columnOrder"] = list(names)

    return change


def drawn(panel: str, change_it: Callable[[Object], object]) -> Change:
    def change(lines: Lines) -> None:
        with lines.drawn("fleet", panel) as shown:
            change_it(shown)

    return change


def plotted(**changes: object) -> Change:
    return drawn("by-device", lambda shown: shown["layers"][0].update(changes))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (order("device", "time"), "has the column 'readings' 0 times"),
        (order("device", "time", "readings", "more"), "names the column 'more'"),
        (order("device", "time", "time", "readings"), "has the column 'time' 2 times"),
        (order("readings", "device", "time"), "a number before what divides"),
        (plotted(accessors=["writings"]), "names the column 'writings'"),
        (plotted(accessors=[]), "draws nothing"),
        (plotted(accessors=["time"]), "the column 'time' is not a number"),
        (plotted(xAccessor="when"), "names the column 'when'"),
        (plotted(xAccessor="readings"), "the column 'readings' is not one that divides"),
        (plotted(splitAccessor="sensor"), "names the column 'sensor'"),
        (plotted(splitAccessor=None), "does not show the column 'device'"),
        (plotted(layerId="layer2"), "draws the layer 'layer2'"),
        (plotted(yConfig=[{"forAccessor": "none"}]), "is for 'none', which is not drawn"),
        (drawn("devices", lambda s: s.update(metricAccessor="none")), "names the column 'none'"),
        (drawn("last-seen", lambda s: s["columns"].pop()), "does not show the column 'battery'"),
        (drawn("last-seen", lambda s: s["columns"][0].update(columnId="name")), "names the column 'name'"),
        (drawn("last-seen", lambda s: s["sorting"].update(columnId="age")), "names the column 'age'"),
    ],
)
def test_accessors_and_order_name_columns_that_exist(change: Change, problem: str) -> None:
    found = findings(change)
    assert any(problem in f.problem for f in found), found


# --- the grid ---------------------------------------------------------------------------------------------------


def grid(panel: str = "by-sensor", **changes: object) -> Change:
    def change(lines: Lines) -> None:
        with lines.panel("fleet", panel) as found:
            found["gridData"].update(changes)

    return change


def index(lines: Lines) -> None:
    with lines.panel("fleet", "by-sensor") as found:
        found["panelIndex"] = "by-device"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (grid(x=23), "'by-sensor' lies on 'by-device'"),
        (grid(y=5), "'by-sensor' lies on 'sensors'"),
        (grid(w=25), "ends at column 49 of 48"),
        (grid(w=0), "has no place"),
        (grid(x=-1), "has no place"),
        (grid(i="other"), "i is not the panelIndex"),
        (grid(w="24"), "must be a whole number, not str"),
        (index, "a second panel 'by-device'"),
    ],
)
def test_panels_lie_beside_each_other_on_48_columns(change: Change, problem: str) -> None:
    found = findings(change)
    assert any(problem in f.problem for f in found), found


# --- the whole --------------------------------------------------------------------------------------------------


def twice(lines: Lines) -> None:
    lines.objects.append(lines.of("map", "tracks"))


def newer(type_: str, name: str, key: str, version: str) -> Change:
    def change(lines: Lines) -> None:
        lines.of(type_, name)[key] = version

    return change


def newer_panel(lines: Lines) -> None:
    with lines.panel("fleet", "map") as panel:
        panel["version"] = "9.1.0"


def no_json(key: str) -> Change:
    def change(lines: Lines) -> None:
        attributes = lines.of("dashboard", "fleet")["attributes"]
        attributes[key] = attributes[key][:-1]

    return change


def no_map_json(lines: Lines) -> None:
    with lines.panel("fleet", "map") as panel:
        panel["embeddableConfig"]["attributes"]["layerListJSON"] += "}"


def another_kind(lines: Lines) -> None:
    with lines.panel("fleet", "devices") as panel:
        panel["embeddableConfig"]["attributes"]["visualizationType"] = "lnsPie"


def another_panel(lines: Lines) -> None:
    with lines.panel("fleet", "devices") as panel:
        panel["type"] = "visualization"


def no_panels(lines: Lines) -> None:
    lines.of("dashboard", "fleet")["attributes"]["panelsJSON"] = "[]"


def unknown_object(lines: Lines) -> None:
    lines.objects.append({**lines.of("map", "tracks"), "type": "canvas-workpad"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (twice, "is there 2 times"),
        (newer("dashboard", "fleet", "typeMigrationVersion", "8.10.0"), "newer than 8.9.0"),
        (newer("dashboard", "fleet", "typeMigrationVersion", "10.1.0"), "newer than 8.9.0"),
        (newer("index-pattern", "readings", "coreMigrationVersion", "8.9.0"), "newer than 8.8.0"),
        (newer("map", "tracks", "typeMigrationVersion", "latest"), "'latest' is no version"),
        (newer_panel, "is 9.1.0, newer than 8.9.0"),
        (newer("map", "tracks", "migrationVersion", "1"), "is no part of a saved object"),
        (no_json("panelsJSON"), "does not parse"),
        (no_json("optionsJSON"), "does not parse"),
        (no_map_json, "does not parse"),
        (another_kind, "'lnsPie' is no kind of chart"),
        (another_panel, "'visualization' is no panel"),
        (no_panels, "has no panel"),
        (unknown_object, "'canvas-workpad' is no kind of object"),
    ],
)
def test_the_whole_is_whole(change: Change, problem: str) -> None:
    found = findings(change)
    assert any(problem in f.problem for f in found), found


def test_a_line_that_does_not_parse_does_not_hide_the_others() -> None:
    lines = Lines()
    lines.of("dashboard", "fleet")["references"][0]["id"] = "nothing"
    text = "{not json}\n[]\n" + ndjson(lines.objects)
    found = validate(text, FIELDS)
    assert found[0].path == "line 1"
    assert found[1].path == "line 2.type"
    assert any("'nothing'" in f.problem for f in found)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_missing_or_of_another_type_the_validator_itself_does_not_fail(seed: int) -> None:
    """Anywhere, inside the texts of JSON, too: findings, and never an exception."""
    rng = random.Random(seed)
    objects = fresh()
    number = rng.randrange(len(objects))
    objects[number] = _spoilt(objects[number], rng)
    validate(ndjson(objects), FIELDS)


def _spoilt(value: Any, rng: random.Random) -> Any:
    """With one thing in it, at any depth, replaced."""
    parsed = _parsed(value)
    if parsed is not None:
        return json.dumps(_spoilt(parsed, rng))
    if not value or not isinstance(value, dict | list) or rng.random() < 0.1:
        return rng.choice([None, 7, "x", [], {}, [None], {"a": 1}, True])
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    value[key] = _spoilt(value[key], rng)
    return value


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in {"[", "{"}:
        return None
    return json.loads(value)
