"""Where the devices are and were: a map without a base map from the internet."""

import json
from dataclasses import dataclass

from sensorline.kibana.lens import kql
from sensorline.kibana.views import Document, View, reference, saved_object

GEO_FIELD = "location"
_TOOLTIP = ("device", "@timestamp", "speed", "altitude", "horizontal_accuracy")


@dataclass(frozen=True, slots=True)
class Map:
    """The tracks, and each device's latest position with its name."""

    key: str
    title: str
    view: View


def saved(shown: Map, id_: str, description: str) -> Document:
    """As a saved object of its own."""
    body = attributes(shown) | {"title": shown.title, "description": description}
    return saved_object("map", id_, body, references(shown))


def attributes(shown: Map) -> Document:
    """The map by value, as a panel holds it; its layers are JSON in a text."""
    state = {
        "zoom": 1,
        "center": {"lat": 20, "lon": 0},
        "timeFilters": {"from": "now-24h", "to": "now"},
        "refreshConfig": {"isPaused": True, "interval": 0},
        "query": kql(""),
        "filters": [],
        "settings": {
            "autoFitToDataBounds": True,
            "initialLocation": "AUTO_FIT_TO_BOUNDS",
            "showScaleControl": True,
            "minZoom": 0,
            "maxZoom": 24,
        },
    }
    return {
        "title": "",
        "description": "",
        "layerListJSON": json.dumps([_tracks(shown.view), _latest(shown.view)]),
        "mapStateJSON": json.dumps(state),
        "uiStateJSON": json.dumps({"isLayerTOCOpen": False, "openTOCDetails": []}),
    }


def references(shown: Map) -> list[Document]:
    """One for each layer."""
    return [reference(_reference_name(layer), shown.view.id) for layer in range(2)]


def _tracks(view: View) -> Document:
    """Every position as a tile that Elasticsearch draws: a million of them are no burden for the browser."""
    return _layer(0, view, "MVT_VECTOR", "Tracks", {"scalingType": "MVT"}, size=4, alpha=0.6)


def _latest(view: View) -> Document:
    newest = {
        "scalingType": "TOP_HITS",
        "topHitsSplitField": "device",
        "topHitsSize": 1,
        "sortField": "@timestamp",
        "sortOrder": "desc",
    }
    return _layer(1, view, "GEOJSON_VECTOR", "Latest positions", newest, size=9, alpha=1, name="device")


def _layer(
    number: int, view: View, type_: str, label: str, scaling: Document, *, size: int, alpha: float, name: str = ""
) -> Document:
    source = {
        "id": f"{view.id}-source-{number}",
        "type": "ES_SEARCH",
        "geoField": GEO_FIELD,
        "applyGlobalQuery": True,
        "applyGlobalTime": True,
        "applyForceRefresh": True,
        "filterByMapBounds": True,
        "tooltipProperties": list(_TOOLTIP),
        "indexPatternRefName": _reference_name(number),
    }
    return {
        "id": f"{view.id}-layer-{number}",
        "label": label,
        "type": type_,
        "visible": True,
        "alpha": alpha,
        "minZoom": 0,
        "maxZoom": 24,
        "includeInFitToBounds": True,
        "joins": [],
        "disableTooltips": False,
        "sourceDescriptor": source | scaling,
        "style": {"type": "VECTOR", "isTimeAware": True, "properties": _style(size, name)},
    }


def _style(size: int, name: str) -> Document:
    """A colour a device."""
    device = {"name": "device", "origin": "source"}
    meta = {"isEnabled": True, "sigma": 3}
    properties: Document = {
        "fillColor": {
            "type": "DYNAMIC",
            "options": {
                "type": "CATEGORICAL",
                "colorCategory": "palette_0",
                "field": device,
                "fieldMetaOptions": meta,
            },
        },
        "lineColor": {"type": "STATIC", "options": {"color": "#ffffff"}},
        "lineWidth": {"type": "STATIC", "options": {"size": 1 if name else 0}},
        "iconSize": {"type": "STATIC", "options": {"size": size}},
        "symbolizeAs": {"options": {"value": "circle"}},
    }
    if name:
        properties["labelText"] = {"type": "DYNAMIC", "options": {"field": {"name": name, "origin": "source"}}}
        properties["labelPosition"] = {"options": {"position": "TOP"}}
        properties["labelSize"] = {"type": "STATIC", "options": {"size": 13}}
    return properties


def _reference_name(layer: int) -> str:
    return f"layer_{layer}_source_index_pattern"
