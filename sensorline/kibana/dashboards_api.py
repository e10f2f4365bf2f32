"""A dashboard as the Dashboards API takes it (Kibana 9.5 and newer): the same charts in that API's own words.

It has no maps: a dashboard with one can only be imported.
"""

from sensorline.kibana.boards import Board, Panel
from sensorline.kibana.charts import Chart, Number, Plot, Table, columns_of
from sensorline.kibana.columns import Column
from sensorline.kibana.fields import RECORDS
from sensorline.kibana.maps import Map
from sensorline.kibana.place import Broken
from sensorline.kibana.versions import parts
from sensorline.kibana.views import Document, View

SINCE = (9, 5)
_EMPTY_AS_NULL = frozenset({"count", "unique_count", "sum"})
_PAGES = (10, 20, 30, 50, 100)


def is_offered(version: str) -> bool:
    """Whether a Kibana of this version has the API, with its contract fixed."""
    try:
        return parts(version, "version")[:2] >= SINCE
    except Broken:  # what does not tell its version may be any
        return False


def body(board: Board) -> Document:
    """What is PUT to `/api/dashboards/<id>`; of a dashboard without a map."""
    document: Document = {
        "title": board.title,
        "description": board.description,
        "time_range": {"from": board.since, "to": "now"},
        "refresh_interval": {"pause": not board.is_refreshing, "value": board.refresh_ms},
        "options": {"sync_colors": True, "sync_cursor": True},
        "panels": [_panel(panel, x, y) for panel, x, y in board.placed()],
    }
    if board.controls:
        document["pinned_panels"] = [
            {
                "type": "options_list_control",
                "width": "medium",
                "grow": True,
                "config": {
                    "title": control.title,
                    "data_view_id": control.view.id,
                    "field_name": control.field,
                    "single_select": control.is_single,
                    "sort": {"by": "_key", "direction": "asc"},
                },
            }
            for control in board.controls
        ]
    return document


def _panel(panel: Panel, x: int, y: int) -> Document:
    if isinstance(panel.shown, Map):
        raise TypeError("the Dashboards API has no maps")
    grid = {"x": x, "y": y, "w": panel.width, "h": panel.height}
    return {"type": "vis", "grid": grid, "config": _config(panel.shown)}


def _config(chart: Chart) -> Document:
    shared: Document = {"query": _kql(chart.where)} if chart.where else {}
    if isinstance(chart, Number):
        (column,) = columns_of(chart)
        metric = {"type": "primary"} | _metric(column)
        return shared | {"type": "metric", "data_source": _source(chart.view), "metrics": [metric]}
    return shared | {"title": chart.title} | (_plot(chart) if isinstance(chart, Plot) else _table(chart))


def _plot(plot: Plot) -> Document:
    layer: Document = {
        "type": plot.shape,
        "data_source": _source(plot.view),
        "x": _bucket(plot.x, list(plot.ys)),
        "y": [_metric(y) | ({"color": {"type": "static", "color": y.color}} if y.color else {}) for y in plot.ys],
    }
    if plot.split is not None:
        layer["breakdown_by"] = _bucket(plot.split, list(plot.ys))
    y_axis: Document = {"title": {"text": plot.y_title, "visible": True} if plot.y_title else {"visible": False}}
    if plot.shape == "line":
        y_axis["domain"] = {"type": "full" if plot.is_from_zero else "fit"}
    document: Document = {
        "type": "xy",
        "layers": [layer],
        "axis": {"x": {"title": {"visible": False}}, "y": y_axis},
        "legend": {"visibility": "auto", "position": "bottom" if len(plot.ys) > 1 else "right"},
    }
    if plot.is_joined:
        document["styling"] = {"fitting": {"type": "linear", "emphasize": True}}
    return document


def _table(table: Table) -> Document:
    metrics = [column for column in table.columns if not column.is_bucket]
    rows = [column for column in table.columns if column.is_bucket]
    widths = dict(table.widths)

    def shown(column: Column, document: Document) -> Document:
        width = {"width": widths[column.key]} if column.key in widths else {}
        return document | width | ({"visible": False} if column.key in table.hidden else {})

    sort = next(k for k, column in enumerate(metrics) if column.key == table.sort)
    return {
        "type": "data_table",
        "data_source": _source(table.view),
        "rows": [shown(column, _bucket(column, metrics)) for column in rows],
        "metrics": [shown(column, _metric(column)) for column in metrics],
        "styling": {
            "paging": min(_PAGES, key=lambda size: abs(size - table.rows)),
            "sort_by": {"column_type": "metric", "index": sort, "direction": "desc"},
            "density": {"height": {"value": {"type": "auto"}, "header": {"type": "auto"}}},
        },
    }


def _bucket(column: Column, metrics: list[Column]) -> Document:
    shared = {"operation": column.operation, "label": column.label}
    if column.operation == "date_histogram":
        return shared | {"field": column.field, "suggested_interval": "auto", "include_empty_rows": True}
    return shared | {"fields": [column.field], "limit": column.size, "rank_by": _rank(column, metrics)}


def _rank(column: Column, metrics: list[Column]) -> Document:
    if column.by == RECORDS:  # counting this field's values counts the documents: each has one
        return {"type": "custom", "operation": "count", "field": column.field, "direction": "desc"}
    if column.by:
        index = next(k for k, metric in enumerate(metrics) if metric.key == column.by)
        return {"type": "metric", "metric_index": index, "direction": "desc"}
    return {"type": "alphabetical", "direction": "asc"}


def _metric(column: Column) -> Document:
    document: Document = {"operation": column.operation, "label": column.label}
    if column.field:
        document["field"] = column.field
    if column.operation in _EMPTY_AS_NULL:
        document["empty_as_null"] = True
    if column.operation == "last_value":
        document["time_field"] = column.sort_by
    if column.where:
        document["filter"] = _kql(column.where)
    if column.unit or column.style or column.decimals:
        suffix = {"suffix": f" {column.unit}"} if column.unit else {}
        document["format"] = {"type": column.style or "number", "decimals": column.decimals} | suffix
    return document


def _source(view: View) -> Document:
    return {"type": "data_view_reference", "ref_id": view.id}


def _kql(query: str) -> Document:
    return {"expression": query, "language": "kql"}
