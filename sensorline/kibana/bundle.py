"""Everything that is installed, as one value and as the lines that Kibana imports."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sensorline.kibana import boards, maps
from sensorline.kibana.board_anomalies import anomalies
from sensorline.kibana.board_device import device
from sensorline.kibana.board_fleet import fleet
from sensorline.kibana.board_quality import quality
from sensorline.kibana.boards import Board
from sensorline.kibana.fields import Fields
from sensorline.kibana.maps import Map
from sensorline.kibana.views import Document, Views, object_id, views


@dataclass(frozen=True)
class Bundle:
    """What an installation with an index prefix gets."""

    views: Views
    boards: tuple[Board, ...]
    others: tuple[Document, ...]  # what is neither a data view nor a dashboard: the map

    def objects(self) -> list[Document]:
        """As saved objects; what is referred to stands before what refers to it."""
        return [*(view.saved() for view in self.views), *self.others, *(boards.saved(board) for board in self.boards)]

    def fields(self) -> dict[str, Fields]:
        """The fields behind each index pattern."""
        return {view.title: view.fields for view in self.views}


def bundle(prefix: str = "") -> Bundle:
    """Everything, over the indices with this prefix (`store.elasticsearch.prefix` of the settings)."""
    found = views(prefix)
    tracks = Map("tracks", "Sensorline: tracks", found.readings)
    described = "Every position of every device, and where each was last."
    return Bundle(
        found,
        (fleet(found, prefix), device(found, prefix), anomalies(found, prefix), quality(found, prefix)),
        (maps.saved(tracks, object_id(prefix, "tracks"), described),),
    )


def ndjson(objects: Sequence[Document]) -> str:
    """One object a line."""
    return "".join(json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n" for document in objects)
