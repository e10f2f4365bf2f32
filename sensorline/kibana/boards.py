"""Dashboards: charts and maps on a grid of 48 columns, with controls above them."""

import json
from dataclasses import dataclass
from typing import TypeAlias

from sensorline.kibana import lens, maps
from sensorline.kibana.charts import Chart, Number
from sensorline.kibana.lens import kql
from sensorline.kibana.maps import Map
from sensorline.kibana.views import TYPE_VERSIONS, Document, View, reference, saved_object

GRID_COLUMNS = 48


@dataclass(frozen=True, slots=True)
class Panel:
    """Something on the grid: width and height in its units."""

    shown: Chart | Map
    width: int
    height: int


Row: TypeAlias = tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """A list of a field's values to choose from."""

    key: str
    title: str
    view: View
    field: str
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows from the top, each as high as its highest panel."""

    id: str
    title: str
    description: str
    rows: tuple[Row, ...]
    controls: tuple[Control, ...] = ()
    since: str = "now-24h"
    refresh_ms: int = 30_000
    is_refreshing: bool = False

    @property
    def has_map(self) -> bool:
        """Whether a panel of it is a map."""
        return any(isinstance(panel.shown, Map) for row in self.rows for panel in row)

    def placed(self) -> list[tuple[Panel, int, int]]:
        """Each panel with x and y of its upper left corner."""
        found: list[tuple[Panel, int, int]] = []
        y = 0
        for row in self.rows:
            x = 0
            for panel in row:
                found.append((panel, x, y))
                x += panel.width
            y += max(panel.height for panel in row)
        return found


def saved(board: Board) -> Document:
    """As a saved object."""
    panels = [_panel(panel, x, y) for panel, x, y in board.placed()]
    references = [
        reference(f"{panel['panelIndex']}:{inner['name']}", inner["id"])
        for (placed, _, _), panel in zip(board.placed(), panels, strict=True)
        for inner in _references(placed)
    ]
    attributes: Document = {
        "title": board.title,
        "description": board.description,
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps(
            {
                "useMargins": True,
                "syncColors": True,
                "syncCursor": True,
                "syncTooltips": False,
                "hidePanelTitles": False,
            }
        ),
        "timeRestore": True,
        "timeFrom": board.since,
        "timeTo": "now",
        "refreshInterval": {"pause": not board.is_refreshing, "value": board.refresh_ms},
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps({"query": kql(""), "filter": []})},
        "version": 1,
    }
    if board.controls:
        attributes["controlGroupInput"] = _controls(board.controls)
        references += [reference(f"controlGroup_{c.key}:optionsListDataView", c.view.id) for c in board.controls]
    return saved_object("dashboard", board.id, attributes, references)


def _panel(panel: Panel, x: int, y: int) -> Document:
    shown = panel.shown
    is_map, is_number = isinstance(shown, Map), isinstance(shown, Number)  # a number says itself what it is
    by_value = maps.attributes(shown) if isinstance(shown, Map) else lens.attributes(shown)
    more: Document = {"hiddenLayers": [], "isLayerTOCOpen": False, "openTOCDetails": []} if is_map else {}
    return {
        "version": TYPE_VERSIONS["dashboard"],
        "type": "map" if is_map else "lens",
        "title": shown.title,
        "panelIndex": shown.key,
        "gridData": {"x": x, "y": y, "w": panel.width, "h": panel.height, "i": shown.key},
        "embeddableConfig": {"attributes": by_value, "enhancements": {}, "hidePanelTitles": is_number} | more,
    }


def _references(panel: Panel) -> list[Document]:
    if isinstance(panel.shown, Map):
        return maps.references(panel.shown)
    inner: list[Document] = lens.attributes(panel.shown)["references"]
    return inner


def _controls(controls: tuple[Control, ...]) -> Document:
    panels = {
        control.key: {
            "type": "optionsListControl",
            "order": order,
            "width": "medium",
            "grow": True,
            "explicitInput": {
                "id": control.key,
                "fieldName": control.field,
                "title": control.title,
                "singleSelect": control.is_single,
                "selectedOptions": [],
                "sort": {"by": "_key", "direction": "asc"},
                "enhancements": {},
            },
        }
        for order, control in enumerate(controls)
    }
    ignored = {"ignoreFilters": False, "ignoreQuery": False, "ignoreTimerange": False, "ignoreValidations": False}
    return {
        "controlStyle": "oneLine",
        "chainingSystem": "HIERARCHICAL",
        "panelsJSON": json.dumps(panels),
        "ignoreParentSettingsJSON": json.dumps(ignored),
    }
