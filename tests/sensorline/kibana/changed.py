"""The bundle with something changed in it, also inside its texts of JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sensorline.kibana.bundle import bundle, ndjson
from sensorline.kibana.validate import Finding, validate

Object = dict[str, Any]
FIELDS = bundle().fields()
_TEXT = ndjson(bundle().objects())


def fresh() -> list[Object]:
    """The saved objects, to be changed at will."""
    return [json.loads(line) for line in _TEXT.splitlines()]


class Lines:
    """The saved objects, to be broken."""

    def __init__(self) -> None:
        self.objects = fresh()

    def of(self, type_: str, name: str) -> Object:
        (found,) = [o for o in self.objects if (o["type"], o["id"]) == (type_, f"sensorline-{name}")]
        return found

    @contextmanager
    def panel(self, board: str, key: str) -> Iterator[Object]:
        """A panel of a dashboard, which is written back."""
        with inside(self.of("dashboard", board)["attributes"], "panelsJSON") as panels:
            (found,) = [panel for panel in panels if panel["panelIndex"] == key]
            yield found

    @contextmanager
    def layer(self, board: str, key: str) -> Iterator[Object]:
        """Columns and their order of a chart."""
        with self.panel(board, key) as panel:
            yield panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["layer"]

    @contextmanager
    def drawn(self, board: str, key: str) -> Iterator[Object]:
        """How a chart is drawn."""
        with self.panel(board, key) as panel:
            yield panel["embeddableConfig"]["attributes"]["state"]["visualization"]

    @contextmanager
    def map_layer(self, number: int) -> Iterator[Object]:
        with inside(self.of("map", "tracks")["attributes"], "layerListJSON") as layers:
            yield layers[number]

    @contextmanager
    def controls(self, board: str) -> Iterator[Object]:
        with inside(self.of("dashboard", board)["attributes"]["controlGroupInput"], "panelsJSON") as controls:
            yield controls

    def found(self) -> list[Finding]:
        return validate(ndjson(self.objects), FIELDS)


@contextmanager
def inside(holder: Object, key: str) -> Iterator[Any]:
    value = json.loads(holder[key])
    yield value
    holder[key] = json.dumps(value)


def findings(change: Callable[[Lines], None]) -> list[Finding]:
    lines = Lines()
    change(lines)
    return lines.found()
