"""A chart of Lens: columns that exist, computed of fields that can do it, drawn as what they are."""

from collections.abc import Iterator, Mapping

from sensorline.kibana import check_fields
from sensorline.kibana.fields import Fields, Group
from sensorline.kibana.place import Broken, Finding, Place

BUCKETS = frozenset({"terms", "date_histogram"})
Columns = Mapping[str, Place]


def check(chart: Place, fields_of_layer: Mapping[str, Fields]) -> Iterator[Finding]:
    """`chart`: the attributes; `fields_of_layer`: what the data view behind each layer has."""
    state = chart.at("state")
    layers = dict(state.at("datasourceStates").at("formBased").members("layers"))
    if not layers:
        raise Broken(state.path, "has no layer")
    columns: dict[str, Columns] = {}
    for name, layer in layers.items():
        columns[name] = dict(layer.members("columns"))
        yield from _order(layer, columns[name])
        fields = fields_of_layer.get(name)
        if fields is None:
            continue  # its missing reference is a finding already
        for column in columns[name].values():
            yield from _column(column, columns[name], fields)
        query = state.at("query")
        yield from check_fields.query(query.path, query.text("query"), fields)
    yield from _drawn(chart, state.at("visualization"), columns)


def _order(layer: Place, columns: Columns) -> Iterator[Finding]:
    order = [place.value for place in layer.items("columnOrder")]
    path = f"{layer.path}.columnOrder"
    for name in order:
        if name not in columns:
            yield Finding(path, f"names the column {name!r}, which there is not", "remove it, or add the column")
    for name in columns:
        if order.count(name) != 1:
            yield Finding(path, f"has the column {name!r} {order.count(name)} times", "name each column once")
    kinds = [columns[name].value.get("isBucketed") for name in order if name in columns]
    if kinds != sorted(kinds, key=lambda bucketed: not bucketed):
        yield Finding(path, "has a number before what divides", "put the bucketed columns first")


def _column(column: Place, columns: Columns, fields: Fields) -> Iterator[Finding]:
    operation, field = column.text("operationType"), column.text("sourceField")
    yield from check_fields.operation(column.path, operation, field, fields)
    known = fields.get(field)
    if operation in check_fields.OPERATIONS and (known is not None or operation == "count"):
        yield from check_fields.typed(column.path, column.text("dataType"), known, operation)
    if column.at("isBucketed").value is not (operation in BUCKETS):
        yield Finding(column.path, f"isBucketed does not fit {operation}", "correct isBucketed")
    if column.has("filter"):
        yield from check_fields.query(f"{column.path}.filter", column.at("filter").text("query"), fields)
    if operation == "last_value":
        yield from _sorted(column, fields)
    if operation == "terms":
        yield from _ranked(column, columns, fields)


def _sorted(column: Place, fields: Fields) -> Iterator[Finding]:
    params = column.at("params")
    name = params.text("sortField")
    yield from check_fields.shown(params.path, name, fields)
    if name in fields and fields[name].group is not Group.DATE:
        yield Finding(params.path, f"the last value by {name!r}, which is no time", "sort by a date field")


def _ranked(column: Place, columns: Columns, fields: Fields) -> Iterator[Finding]:
    params = column.at("params")
    if params.number("size") < 1:
        yield Finding(params.path, "shows none of its values", "set size")
    order = params.at("orderBy")
    kind = order.text("type")
    if kind == "column":
        by = order.text("columnId")
        if by not in columns or columns[by].value.get("isBucketed"):
            yield Finding(order.path, f"orders by {by!r}, which is no number of this chart", "order by a metric column")
        elif columns[by].has("filter"):
            yield Finding(order.path, f"orders by {by!r}, which counts only some", "order by a column without filter")
        elif columns[by].value.get("operationType") == "last_value":
            yield Finding(order.path, f"orders by {by!r}, a last value", "Elasticsearch cannot: order by max")
    elif kind == "custom":
        by_place = params.at("orderAgg")
        operation, field = by_place.text("operationType"), by_place.text("sourceField")
        yield from check_fields.operation(by_place.path, operation, field, fields)
    elif kind != "alphabetical":
        yield Finding(order.path, f"orders by {kind!r}", "order by column, custom or alphabetical")


def _drawn(chart: Place, shown: Place, columns: Mapping[str, Columns]) -> Iterator[Finding]:
    kind = chart.text("visualizationType")
    if kind == "lnsXY":
        for layer in shown.items("layers"):
            yield from _plotted(layer, columns)
    elif kind == "lnsMetric":
        found = _layer(shown, columns)
        yield from _names(shown, "metricAccessor", shown.text("metricAccessor"), found, bucketed=False)
    elif kind == "lnsDatatable":
        yield from _tabled(shown, _layer(shown, columns))
    else:
        yield Finding(chart.path, f"{kind!r} is no kind of chart known here", "use lnsXY, lnsMetric or lnsDatatable")


def _plotted(layer: Place, columns: Mapping[str, Columns]) -> Iterator[Finding]:
    found = _layer(layer, columns)
    accessors = [place.value for place in layer.items("accessors")]
    if not accessors:
        yield Finding(layer.path, "draws nothing", "add an accessor")
    for name in accessors:
        yield from _names(layer, "accessors", name, found, bucketed=False)
    yield from _names(layer, "xAccessor", layer.text("xAccessor"), found, bucketed=True)
    used = {*accessors, layer.text("xAccessor")}
    if layer.has("splitAccessor"):
        yield from _names(layer, "splitAccessor", layer.text("splitAccessor"), found, bucketed=True)
        used.add(layer.text("splitAccessor"))
    for config in layer.items("yConfig") if layer.has("yConfig") else ():
        if config.text("forAccessor") not in accessors:
            yield Finding(config.path, f"is for {config.text('forAccessor')!r}, which is not drawn", "remove it")
    yield from _unused(layer, found, used)


def _tabled(shown: Place, columns: Columns) -> Iterator[Finding]:
    used = set()
    for place in shown.items("columns"):
        name = place.text("columnId")
        used.add(name)
        yield from _names(place, "columnId", name, columns)
    if shown.has("sorting"):
        sorting = shown.at("sorting")
        yield from _names(sorting, "columnId", sorting.text("columnId"), columns)
    yield from _unused(shown, columns, used)


def _layer(shown: Place, columns: Mapping[str, Columns]) -> Columns:
    name = shown.text("layerId")
    if name not in columns:
        raise Broken(shown.path, f"draws the layer {name!r}, which there is not", "name a layer of datasourceStates")
    return columns[name]


def _names(place: Place, what: str, name: str, columns: Columns, *, bucketed: bool | None = None) -> Iterator[Finding]:
    path = f"{place.path}.{what}"
    if name not in columns:
        yield Finding(path, f"names the column {name!r}, which there is not", "add the column, or remove the accessor")
    elif bucketed is not None and columns[name].value.get("isBucketed") is not bucketed:
        kind = "one that divides" if bucketed else "a number"
        yield Finding(path, f"the column {name!r} is not {kind}", "name another column")


def _unused(place: Place, columns: Columns, used: set[str]) -> Iterator[Finding]:
    for name in columns:
        if name not in used:
            yield Finding(place.path, f"does not show the column {name!r}", "show it, or remove it")
