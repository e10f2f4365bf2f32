"""A map: layers that draw positions our templates have, and nothing from the internet."""

from collections.abc import Iterator, Mapping

from sensorline.kibana import check_fields
from sensorline.kibana.fields import Fields
from sensorline.kibana.place import Broken, Finding, Place

_LAYER_TYPES = frozenset({"MVT_VECTOR", "GEOJSON_VECTOR"})
_SCALING = {"MVT": "MVT_VECTOR", "TOP_HITS": "GEOJSON_VECTOR", "LIMIT": "GEOJSON_VECTOR"}


def layers(map_: Place) -> Iterator[Place]:
    """The layers inside the text."""
    found = map_.parsed("layerListJSON")
    if not isinstance(found.value, list) or not found.value:
        raise Broken(found.path, "has no layer")
    yield from (Place(f"{found.path}[{k}]", value) for k, value in enumerate(found.value))


def check(map_: Place, fields_of_reference: Mapping[str, Fields]) -> Iterator[Finding]:
    """`map_`: the attributes; `fields_of_reference`: what the data view behind each reference name has."""
    query = map_.parsed("mapStateJSON").at("query")
    ids: set[str] = set()
    for layer in layers(map_):
        if layer.text("id") in ids:
            yield Finding(layer.path, f"a second layer {layer.text('id')!r}", "give each layer an id of its own")
        ids.add(layer.text("id"))
        source = layer.at("sourceDescriptor")
        if source.text("type") != "ES_SEARCH":
            problem = f"takes its data from {source.text('type')}"
            yield Finding(source.path, problem, "use ES_SEARCH: there may be no internet for a base map")
            continue
        yield from _drawn(layer, source)
        fields = fields_of_reference.get(source.text("indexPatternRefName"))
        if fields is not None:  # else its missing reference is a finding already
            yield from _asked(layer, source, fields)
            yield from check_fields.query(query.path, query.text("query"), fields)


def _drawn(layer: Place, source: Place) -> Iterator[Finding]:
    kind, scaling = layer.text("type"), source.text("scalingType")
    if kind not in _LAYER_TYPES:
        yield Finding(layer.path, f"{kind!r} is no layer known here", f"use {' or '.join(sorted(_LAYER_TYPES))}")
    elif _SCALING.get(scaling) != kind:
        yield Finding(source.path, f"scalingType {scaling} does not fit a layer {kind}", "MVT goes with MVT_VECTOR")


def _asked(layer: Place, source: Place, fields: Fields) -> Iterator[Finding]:
    yield from check_fields.geo(f"{source.path}.geoField", source.text("geoField"), fields)
    for place in source.items("tooltipProperties"):
        yield from check_fields.shown(place.path, str(place.value), fields)
    if source.text("scalingType") == "TOP_HITS":
        split = source.text("topHitsSplitField")
        yield from check_fields.operation(f"{source.path}.topHitsSplitField", "terms", split, fields)
        yield from check_fields.shown(f"{source.path}.sortField", source.text("sortField"), fields)
    for _, style in layer.at("style").members("properties"):
        if style.has("type") and style.text("type") == "DYNAMIC":
            name = style.at("options").at("field").text("name")
            yield from check_fields.operation(style.path, "terms", name, fields)
