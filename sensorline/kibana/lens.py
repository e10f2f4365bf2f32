"""A chart as Lens keeps it inside a dashboard: the columns, and how they are drawn."""

from typing import Any

from sensorline.kibana.charts import Chart, Number, Plot, Table, columns_of
from sensorline.kibana.columns import Column, count
from sensorline.kibana.fields import RECORDS, Group
from sensorline.kibana.views import Document, reference

LAYER = "layer"
LAYER_REFERENCE = "indexpattern-datasource-layer-"
_COMPUTED = {"count", "unique_count", "sum"}  # of nothing they are nothing, and a chart shows that as a gap
_FORMATS = {"percent": "percent", "": "number"}


def attributes(chart: Chart) -> Document:
    """The chart by value, as a panel holds it."""
    columns = list(columns_of(chart))
    layer = {
        "columns": {column.key: _column(column) for column in columns},
        "columnOrder": [column.key for column in columns],
        "incompleteColumns": {},
    }
    return {
        "title": "",  # the panel has it
        "description": "",
        "type": "lens",
        "visualizationType": _TYPES[type(chart)],
        "references": [reference(f"{LAYER_REFERENCE}{LAYER}", chart.view.id)],
        "state": {
            "visualization": _visualization(chart),
            "query": kql(chart.where),
            "filters": [],
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
            "internalReferences": [],
            "adHocDataViews": {},
        },
    }


def kql(query: str) -> Document:
    """A query in Kibana's language; "" matches everything."""
    return {"query": query, "language": "kuery"}


def _column(column: Column) -> Document:
    document: Document = {
        "label": column.label,
        "customLabel": True,
        "dataType": str(column.group),
        "operationType": column.operation,
        "sourceField": column.field or RECORDS,
        "isBucketed": column.is_bucket,
        "scale": _scale(column),
        "params": _params(column),
    }
    if column.where:
        document["filter"] = kql(column.where)
    return document


def _scale(column: Column) -> str:
    if column.operation == "date_histogram":
        return "interval"
    return "ordinal" if column.operation == "terms" or column.group is Group.STRING else "ratio"


def _params(column: Column) -> Document:
    if column.operation == "date_histogram":
        return {"interval": "auto", "includeEmptyRows": True, "dropPartials": False}
    if column.operation == "terms":
        return {
            "size": column.size,
            **_order(column),
            "otherBucket": False,
            "missingBucket": False,
            "parentFormat": {"id": "terms"},
            "include": [],
            "exclude": [],
            "includeIsRegex": False,
            "excludeIsRegex": False,
            "secondaryFields": [],
        }
    params: Document = {}
    if column.operation in _COMPUTED:
        params["emptyAsNull"] = True
    if column.operation == "last_value":
        params |= {"sortField": column.sort_by, "showArrayValues": False}
    if column.unit or column.style or column.decimals:
        suffix = {"suffix": f" {column.unit}"} if column.unit else {}
        params["format"] = {"id": _FORMATS[column.style], "params": {"decimals": column.decimals} | suffix}
    return params


def _order(column: Column) -> Document:
    """By how many documents: a column of its own that is not shown, since one that is shown may count only some."""
    if column.by == RECORDS:
        counted = _column(count("order", "Order"))
        return {"orderBy": {"type": "custom"}, "orderAgg": counted, "orderDirection": "desc"}
    if column.by:
        return {"orderBy": {"type": "column", "columnId": column.by}, "orderDirection": "desc"}
    return {"orderBy": {"type": "alphabetical", "fallback": False}, "orderDirection": "asc"}


def _visualization(chart: Chart) -> Document:
    if isinstance(chart, Number):
        return {"layerId": LAYER, "layerType": "data", "metricAccessor": chart.column.key}
    return _plot(chart) if isinstance(chart, Plot) else _table(chart)


def _plot(plot: Plot) -> Document:
    layer: Document = {
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": plot.shape,
        "xAccessor": plot.x.key,
        "accessors": [y.key for y in plot.ys],
        "yConfig": [{"forAccessor": y.key, "color": y.color, "axisMode": "left"} for y in plot.ys if y.color],
    }
    if plot.split is not None:
        layer["splitAccessor"] = plot.split.key
    is_line = plot.shape == "line"
    sides = {"yRight": True, "yLeft": True}
    state: Document = {
        "preferredSeriesType": plot.shape,
        "layers": [layer],
        "legend": {"isVisible": True, "position": "bottom" if len(plot.ys) > 1 else "right", "showSingleSeries": False},
        "valueLabels": "hide",
        "fittingFunction": "Linear" if plot.is_joined else "None",
        "yTitle": plot.y_title,
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": bool(plot.y_title), "yRight": True},
        "tickLabelsVisibilitySettings": {"x": True, **sides},
        "gridlinesVisibilitySettings": {"x": True, **sides},
        "labelsOrientation": {"x": 0, "yLeft": 0, "yRight": 0},
    }
    if plot.is_joined:
        state["emphasizeFitting"] = True
    if is_line:
        state["yLeftExtent"] = {"mode": "full" if plot.is_from_zero else "dataBounds"}
    return state


def _table(table: Table) -> Document:
    widths = dict(table.widths)

    def shown(column: Column) -> Document:
        document: Document = {"columnId": column.key, "isTransposed": False, "isMetric": not column.is_bucket}
        if column.key in widths:
            document["width"] = widths[column.key]
        return document | ({"hidden": True} if column.key in table.hidden else {})

    return {
        "layerId": LAYER,
        "layerType": "data",
        "columns": [shown(column) for column in table.columns],
        "sorting": {"columnId": table.sort, "direction": "desc"},
        "paging": {"enabled": True, "size": table.rows},
        "rowHeight": "auto",  # a sentence is read whole
        "headerRowHeight": "auto",
    }


_TYPES: dict[type[Any], str] = {Number: "lnsMetric", Plot: "lnsXY", Table: "lnsDatatable"}
