"""Dashboards in the words of the Dashboards API: nothing that its published contract does not have."""

from typing import Any

import jsonschema
import pytest

from sensorline.kibana.boards import Board
from sensorline.kibana.bundle import bundle
from sensorline.kibana.charts import columns_of
from sensorline.kibana.dashboards_api import body, is_offered
from sensorline.kibana.maps import Map

WITHOUT_MAP = [board for board in bundle().boards if not board.has_map]


def only(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these keys and no other: the API refuses what it does not know."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


def listed(of: dict[str, Any], at_least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": at_least}


TEXT = {"type": "string", "minLength": 1}
FLAG = {"type": "boolean"}
WHOLE = {"type": "integer", "minimum": 0}
TITLE = only({"visible": FLAG}, text=TEXT)
QUERY = only({"expression": TEXT, "language": {"const": "kql"}})
SOURCE = only({"type": {"const": "data_view_reference"}, "ref_id": TEXT})
FORMAT = only({"type": {"enum": ["number", "percent"]}, "decimals": WHOLE}, suffix=TEXT)
COLOR = only({"type": {"const": "static"}, "color": {"pattern": "^#[0-9a-f]{6}$"}})
AUTO = only({"type": {"const": "auto"}})
DIRECTION = {"enum": ["asc", "desc"]}
TERMS = only(
    {
        "operation": {"const": "terms"},
        "fields": listed(TEXT),
        "limit": {"type": "integer", "minimum": 1},
        "label": TEXT,
        "rank_by": {
            "oneOf": [
                only({"type": {"const": "alphabetical"}, "direction": DIRECTION}),
                only({"type": {"const": "metric"}, "metric_index": WHOLE, "direction": DIRECTION}),
                only({"type": {"const": "custom"}, "operation": TEXT, "field": TEXT, "direction": DIRECTION}),
            ]
        },
    },
    width=WHOLE,
    visible=FLAG,
)
TIME = only(
    {
        "operation": {"const": "date_histogram"},
        "field": TEXT,
        "label": TEXT,
        "suggested_interval": TEXT,
        "include_empty_rows": FLAG,
    }
)
SHARED = {"label": TEXT}
OPTIONS = {"format": FORMAT, "filter": QUERY, "color": COLOR, "width": WHOLE, "type": {"const": "primary"}}
METRIC = {
    "oneOf": [
        only({"operation": {"enum": ["min", "max", "average"]}, "field": TEXT} | SHARED, **OPTIONS),
        only(
            {"operation": {"enum": ["sum", "unique_count"]}, "field": TEXT, "empty_as_null": FLAG} | SHARED, **OPTIONS
        ),
        only({"operation": {"const": "count"}, "empty_as_null": FLAG} | SHARED, **OPTIONS),
        only({"operation": {"const": "last_value"}, "field": TEXT, "time_field": TEXT} | SHARED, **OPTIONS),
    ]
}
LAYER = only(
    {"type": {"enum": ["line", "bar_stacked", "bar_horizontal_stacked"]}, "data_source": SOURCE, "y": listed(METRIC)},
    x={"oneOf": [TIME, TERMS]},
    breakdown_by=TERMS,
)
XY = only(
    {"type": {"const": "xy"}, "title": TEXT, "layers": listed(LAYER)},
    query=QUERY,
    axis=only({}, x=only({"title": TITLE}), y=only({"title": TITLE}, domain=only({"type": {"enum": ["full", "fit"]}}))),
    legend=only({"visibility": {"const": "auto"}, "position": {"enum": ["bottom", "right"]}}),
    styling=only({"fitting": only({"type": {"const": "linear"}, "emphasize": FLAG})}),
)
NUMBER = only({"type": {"const": "metric"}, "data_source": SOURCE, "metrics": listed(METRIC)}, query=QUERY)
TABLE = only(
    {
        "type": {"const": "data_table"},
        "title": TEXT,
        "data_source": SOURCE,
        "rows": listed(TERMS),
        "metrics": listed(METRIC),
    },
    query=QUERY,
    styling=only(
        {
            "paging": {"enum": [10, 20, 30, 50, 100]},
            "sort_by": only({"column_type": {"const": "metric"}, "index": WHOLE, "direction": DIRECTION}),
            "density": only({"height": only({"value": AUTO, "header": AUTO})}),
        }
    ),
)
GRID = only({"x": WHOLE, "y": WHOLE, "w": {"type": "integer", "minimum": 1, "maximum": 48}, "h": WHOLE})
PANEL = only({"type": {"const": "vis"}, "grid": GRID, "config": {"oneOf": [XY, NUMBER, TABLE]}})
CONTROL = only(
    {
        "title": TEXT,
        "data_view_id": TEXT,
        "field_name": TEXT,
        "single_select": FLAG,
        "sort": only({"by": {"enum": ["_key", "_count"]}, "direction": DIRECTION}),
    }
)
PINNED = only({"type": {"const": "options_list_control"}, "width": TEXT, "grow": FLAG, "config": CONTROL})
DASHBOARD = only(
    {"title": TEXT, "panels": listed(PANEL)},
    description=TEXT,
    time_range=only({"from": TEXT, "to": TEXT}),
    refresh_interval=only({"pause": FLAG, "value": WHOLE}),
    options=only({}, sync_colors=FLAG, sync_cursor=FLAG),
    pinned_panels=listed(PINNED),
)


@pytest.mark.parametrize("board", WITHOUT_MAP, ids=lambda board: board.id)
def test_a_dashboard_has_nothing_that_the_contract_has_not(board: Board) -> None:
    jsonschema.Draft202012Validator(DASHBOARD).validate(body(board))


def test_three_of_four_dashboards_have_no_map() -> None:
    assert len(WITHOUT_MAP) == 3


@pytest.mark.parametrize("board", WITHOUT_MAP, ids=lambda board: board.id)
def test_it_shows_what_the_saved_object_shows(board: Board) -> None:
    panels = body(board)["panels"]
    assert [p["grid"] for p in panels] == [
        {"x": x, "y": y, "w": panel.width, "h": panel.height} for panel, x, y in board.placed()
    ]
    for panel, (placed, _, _) in zip(panels, board.placed(), strict=True):
        assert not isinstance(placed.shown, Map)
        asked = [(c.operation, c.field) for c in columns_of(placed.shown)]
        assert sorted(_operations(panel["config"])) == sorted(asked)


def _operations(config: dict[str, Any]) -> list[tuple[str, str]]:
    holders = [config, *config.get("layers", [])]
    found = [c for h in holders for c in (*h.get("rows", []), *h.get("metrics", []), *h.get("y", []))]
    found += [h[key] for h in holders for key in ("x", "breakdown_by") if key in h]
    return [(c["operation"], c.get("field") or next(iter(c.get("fields", ())), "")) for c in found]


@pytest.mark.parametrize("board", WITHOUT_MAP, ids=lambda board: board.id)
def test_indices_name_metrics_that_exist(board: Board) -> None:
    for panel in body(board)["panels"]:
        config = panel["config"]
        if config["type"] == "data_table":
            assert config["styling"]["sort_by"]["index"] < len(config["metrics"])
            for row in config["rows"]:
                if row["rank_by"]["type"] == "metric":
                    assert row["rank_by"]["metric_index"] < len(config["metrics"])


def test_a_map_is_refused_here() -> None:
    (fleet,) = [board for board in bundle().boards if board.has_map]
    with pytest.raises(TypeError, match="no maps"):
        body(fleet)


@pytest.mark.parametrize(
    ("version", "offered"),
    [
        ("9.5.0", True),
        ("9.5.0-SNAPSHOT", True),
        ("10.0.0", True),
        ("9.4.9", False),
        ("8.19.1", False),
        ("", False),
        ("next", False),
    ],
)
def test_the_contract_is_fixed_from_9_5_on(version: str, offered: bool) -> None:
    assert is_offered(version) is offered
