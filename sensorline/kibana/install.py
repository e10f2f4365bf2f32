"""The bundle into a Kibana: by the import of saved objects, and from 9.5 on dashboards by their own API."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sensorline.kibana import boards, dashboards_api
from sensorline.kibana.boards import Board
from sensorline.kibana.bundle import Bundle, ndjson
from sensorline.kibana.client import Failure, Kibana, KibanaRefused
from sensorline.kibana.versions import OLDEST, is_too_old
from telemetry.errors import Misconfigured, NotFound

IMPORT, DASHBOARDS = "saved objects", "Dashboards API"
_WITHOUT = "leave --api out: it is imported instead"


class Way(StrEnum):
    """How dashboards are installed."""

    AUTO = "auto"  # by the Dashboards API where Kibana has it
    SAVED_OBJECTS = "saved-objects"
    DASHBOARDS = "dashboards"


@dataclass(frozen=True, slots=True)
class Installed:
    """An object that is there now, and how it came there."""

    type: str
    id: str
    title: str
    by: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an installation came to."""

    version: str
    installed: tuple[Installed, ...]
    failures: tuple[Failure, ...]


def install(kibana: Kibana, bundle: Bundle, way: Way, *, remark: Callable[[str], None]) -> Outcome:
    """Install everything; what is there already under the same ids is replaced.  Raises `SensorlineError`.

    Data views first: the Dashboards API refers to them, by ids that are ours unless another space of the same Kibana
    has them already.  There everything is imported, which alone can tell what the ids are here.
    """
    version = kibana.version()
    if is_too_old(version):
        raise Misconfigured(f"{kibana.url} is Kibana {version}: these objects need {OLDEST} or newer")
    offered = dashboards_api.is_offered(version)
    if way is Way.DASHBOARDS and not offered:
        raise Misconfigured(
            f"{kibana.url} is {version or 'of a version it does not tell'}: its Dashboards API is stable from 9.5 on; "
            f"leave --api out"
        )
    by_api = [b for b in bundle.boards if not b.has_map] if offered and way is not Way.SAVED_OBJECTS else []
    named = {("dashboard", board.id) for board in by_api}
    objects = [document for document in bundle.objects() if (document["type"], document["id"]) not in named]
    imported = kibana.import_objects(ndjson(objects))
    if imported.moved and way is Way.AUTO:
        remark("note: another space has these already, so this one has them under ids of its own; all are imported")
        if by_api:
            objects, by_api = bundle.objects(), []
            imported = kibana.import_objects(ndjson(objects))
    failed = {(failure.type, failure.id) for failure in imported.failures}
    installed = [
        Installed(d["type"], imported.moved.get((d["type"], d["id"]), d["id"]), _title(d["attributes"]), IMPORT)
        for d in objects
        if (d["type"], d["id"]) not in failed
    ]
    failures = list(imported.failures)
    for board in by_api:
        if imported.moved:
            reason = "another space has its data views already, and here they have other ids"
            failures.append(Failure("dashboard", board.id, reason, _WITHOUT))
            continue
        by = DASHBOARDS
        try:
            kibana.put_dashboard(board.id, dashboards_api.body(board))
        except (KibanaRefused, NotFound) as e:
            if way is Way.DASHBOARDS:
                failures.append(Failure("dashboard", board.id, e.message, _WITHOUT))
                continue
            remark(f"note: the Dashboards API did not take {board.id}, which is imported instead: {e.message}")
            again = kibana.import_objects(ndjson([*(v.saved() for v in bundle.views), boards.saved(board)]))
            failures += [failure for failure in again.failures if failure not in failures]
            if any((failure.type, failure.id) == ("dashboard", board.id) for failure in again.failures):
                continue
            by = IMPORT
        installed.append(_of_board(board, by))
    return Outcome(version, tuple(installed), tuple(failures))


def _of_board(board: Board, by: str) -> Installed:
    return Installed("dashboard", board.id, board.title, by)


def _title(attributes: dict[str, str]) -> str:
    return attributes.get("name") or attributes["title"]
