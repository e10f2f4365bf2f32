"""A dashboard: panels that parse, lie on the grid beside each other, and refer to what is in the bundle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sensorline.kibana import check_fields, check_lens, check_map
from sensorline.kibana.boards import GRID_COLUMNS
from sensorline.kibana.fields import Fields
from sensorline.kibana.lens import LAYER_REFERENCE
from sensorline.kibana.place import Broken, Finding, Place
from sensorline.kibana.versions import not_above
from sensorline.kibana.views import TYPE_VERSIONS


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a panel lies."""

    name: str
    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: "Grid") -> bool:
        """Whether they share a square."""
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        above = self.y + self.height <= other.y or other.y + other.height <= self.y
        return not (beside or above)


def panels(board: Place) -> list[Place]:
    """The panels inside the text."""
    found = board.at("attributes").parsed("panelsJSON")
    if not isinstance(found.value, list) or not found.value:
        raise Broken(found.path, "has no panel")
    return [Place(f"{found.path}[{k}]", value) for k, value in enumerate(found.value)]


def controls(board: Place) -> dict[str, Place]:
    """The controls inside the text, by key."""
    attributes = board.at("attributes")
    if not attributes.has("controlGroupInput"):
        return {}
    found = attributes.at("controlGroupInput").parsed("panelsJSON")
    if not isinstance(found.value, dict):
        raise Broken(found.path, "must be an object")
    return {name: Place(f"{found.path}.{name}", value) for name, value in found.value.items()}


def names(board: Place) -> Iterator[str]:
    """The names of references that are used inside."""
    for panel in panels(board):
        index = panel.text("panelIndex")
        by_value = panel.at("embeddableConfig").at("attributes")
        if panel.text("type") == "map":
            for layer in check_map.layers(by_value):
                yield f"{index}:{layer.at('sourceDescriptor').text('indexPatternRefName')}"
        else:
            for layer_name, _ in by_value.at("state").at("datasourceStates").at("formBased").members("layers"):
                yield f"{index}:{LAYER_REFERENCE}{layer_name}"
    for key in controls(board):
        yield f"controlGroup_{key}:optionsListDataView"


def check(board: Place, fields_of_reference: Mapping[str, Fields]) -> Iterator[Finding]:
    """`fields_of_reference`: what the data view behind each reference name of the dashboard has."""
    attributes = board.at("attributes")
    attributes.parsed("optionsJSON")
    attributes.at("kibanaSavedObjectMeta").parsed("searchSourceJSON")
    grids: list[Grid] = []
    for panel in panels(board):
        try:
            grid = _grid(panel)
            yield from _lies(panel, grid, grids)
            grids.append(grid)
            yield from not_above(panel, "version", TYPE_VERSIONS["dashboard"])
            yield from _shown(panel, fields_of_reference)
        except Broken as e:
            yield e.finding
    for key, control in controls(board).items():
        fields = fields_of_reference.get(f"controlGroup_{key}:optionsListDataView")
        if fields is not None:
            asked = control.at("explicitInput").text("fieldName")
            yield from check_fields.operation(control.path, "terms", asked, fields)
            yield from check_fields.filterable(control.path, asked, fields)


def _grid(panel: Place) -> Grid:
    grid = panel.at("gridData")
    x, y, width, height = (grid.number(side) for side in "xywh")
    return Grid(panel.text("panelIndex"), x, y, width, height)


def _lies(panel: Place, grid: Grid, before: list[Grid]) -> Iterator[Finding]:
    path = f"{panel.path}.gridData"
    if panel.at("gridData").text("i") != grid.name:
        yield Finding(path, f"i is not the panelIndex {grid.name!r}", "make them equal")
    if grid.width < 1 or grid.height < 1 or grid.x < 0 or grid.y < 0:
        yield Finding(path, f"{grid.name!r} has no place", "give it a size, and no negative position")
    if grid.x + grid.width > GRID_COLUMNS:
        problem = f"{grid.name!r} ends at column {grid.x + grid.width} of {GRID_COLUMNS}"
        yield Finding(path, problem, "make it narrower, or move it to the left")
    for other in before:
        if other.name == grid.name:
            yield Finding(path, f"a second panel {grid.name!r}", "give each panel a panelIndex of its own")
        if grid.overlaps(other):
            yield Finding(path, f"{grid.name!r} lies on {other.name!r}", "move one of them")


def _shown(panel: Place, fields_of_reference: Mapping[str, Fields]) -> Iterator[Finding]:
    index, kind = panel.text("panelIndex"), panel.text("type")
    by_value = panel.at("embeddableConfig").at("attributes")
    own = {name.removeprefix(f"{index}:"): f for name, f in fields_of_reference.items() if name.startswith(f"{index}:")}
    if kind == "map":
        yield from check_map.check(by_value, own)
    elif kind == "lens":
        of_layer = {name.removeprefix(LAYER_REFERENCE): fields for name, fields in own.items()}
        yield from _inner(by_value, set(own))
        yield from check_lens.check(by_value, of_layer)
    else:
        yield Finding(panel.path, f"{kind!r} is no panel known here", "use lens or map")


def _inner(by_value: Place, outer: set[str]) -> Iterator[Finding]:
    """A chart by value also keeps its references itself, under the names without the panel's."""
    inner = {place.text("name") for place in by_value.items("references")}
    if inner != outer:
        different = ", ".join(sorted(inner ^ outer))
        yield Finding(f"{by_value.path}.references", f"differs from the dashboard's: {different}", "make them equal")
