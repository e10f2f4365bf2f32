"""How the indices are made: a strict mapping from the catalogue, and settings that make writing cheap.

The JSON files in `elasticsearch_templates` are what is installed; `python -m telemetry.stores._elastic_templates`
writes the generated mappings anew after a change of the catalogue, and a test holds the two together.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from telemetry.reading import FIELD_NAMES, Kind
from telemetry.stores._elastic_config import Config
from telemetry.stores._elastic_http import Elastic, ask, refused
from telemetry.stores._elastic_names import Names
from telemetry.stores._elastic_sessions import TIMES
from telemetry.stores._sessions import COLUMNS

FOLDER = "elasticsearch_templates"
_PRIORITY = 500

Document = dict[str, Any]

# Doc values only: a search never asks for one value of a float, it asks for a device, a sensor and a time.
_TYPES: dict[Kind, Document] = {
    Kind.FLOAT32: {"type": "float", "index": False},
    Kind.FLOAT64: {"type": "double", "index": False},
    Kind.BOOL: {"type": "boolean", "index": False},
    Kind.TEXT: {"type": "keyword", "index": False},
}


def readings_mapping() -> Document:
    """The mapping of a reading, from the catalogue: every field, and what says whose it is and when."""
    about: Document = {
        "@timestamp": {"type": "date_nanos", "format": "strict_date_optional_time_nanos"},
        "device": {"type": "keyword"},
        "sensor": {"type": "keyword"},
        "session": {"type": "keyword", "index": False},
        "seq": {"type": "long", "index": False},
        "series": {"type": "short", "index": False},
        "i": {"type": "integer", "index": False},
        "extra": {"type": "keyword", "index": False},
        "location": {"type": "geo_point"},
    }
    values = {name: _TYPES[kind] for name, kind in sorted(FIELD_NAMES.items())}
    return {"dynamic": "strict", "properties": about | values}


def sessions_mapping() -> Document:
    """The mapping of a session: what people filter and sort by is indexed, counts are doc values only."""
    date = {"type": "date_nanos", "format": "strict_date_optional_time_nanos"}
    special: Document = {
        "device": {"type": "keyword"},
        "session": {"type": "keyword"},
        "seqs": {"type": "keyword", "index": False, "doc_values": False},
        "first_received_ns": date,
        "last_received_ns": date,
        "clock_basis": {"type": "keyword"},
        "clock_synchronised": {"type": "boolean"},
        "clock_is_skewed": {"type": "boolean"},
    }
    names = [*COLUMNS, "missing_batches", "clock_is_skewed"]
    count = {"type": "long", "index": False}
    return {"dynamic": "strict", "properties": {TIMES.get(n, n): special.get(n, count) for n in names}}


def load(name: str) -> Document:
    """A packaged template."""
    found: Document = json.loads(resources.files("telemetry.stores").joinpath(FOLDER, f"{name}.json").read_text())
    return found


def settings_of(config: Config, name: str) -> Document:
    """The packaged settings of an index with what the configuration says."""
    settings = load(f"{name}_settings") | {
        "index.number_of_shards": config.shards if name == "readings" else 1,
        "index.number_of_replicas": config.replicas,
        "index.refresh_interval": config.refresh_interval,
        "index.translog.durability": config.translog_durability,
    }
    if config.translog_durability == "async":
        settings["index.translog.sync_interval"] = config.translog_sync_interval
    if name == "readings" and config.synthetic_source:
        settings["index.mapping.source.mode"] = "synthetic"
    return settings


async def install(elastic: Elastic, config: Config, names: Names) -> None:
    """Put the templates, and make the indices that are read before the first write."""
    mapping, settings = f"{config.prefix}sensorline-readings-mapping", f"{config.prefix}sensorline-readings-settings"
    await _put(elastic, f"_component_template/{mapping}", {"template": {"mappings": load("readings_mapping")}})
    await _put_settings(elastic, f"_component_template/{settings}", settings_of(config, "readings"))
    composed = {"index_patterns": [names.readings], "priority": _PRIORITY, "composed_of": [mapping, settings]}
    await _put(elastic, f"_index_template/{config.prefix}sensorline-readings", composed)
    made = (("claims", names.claims), ("sessions", names.sessions), ("anomalies", names.anomalies))
    for name, index in (*made, ("windows", names.windows)):
        template = {"mappings": load(f"{name}_mapping"), "settings": settings_of(config, name)}
        whole = {"index_patterns": [index], "priority": _PRIORITY, "template": template}
        await _put(elastic, f"_index_template/{config.prefix}sensorline-{name}", whole)
    for name, index in made:
        await _make(elastic, index, load(f"{name}_mapping"))


async def _put_settings(elastic: Elastic, path: str, settings: Document) -> None:
    """With what makes writing cheaper where this version of Elasticsearch knows it: those settings may come and go.

    Ids that rise need no Bloom filter, and nobody searches by sequence number (measured: together a tenth of a
    write's cost and a third of a merge's).
    """
    tuned = {"template": {"settings": settings | load("readings_tuning")}}
    answer = await elastic.request("PUT", f"/{path}", json.dumps(tuned).encode())
    if answer.status == 400 and b"unknown setting" in answer.body:
        await _put(elastic, path, {"template": {"settings": settings}})
    elif answer.status >= 300:
        raise refused(answer, f"PUT /{path}")


async def _put(elastic: Elastic, path: str, body: Document) -> None:
    await ask(elastic, "PUT", f"/{path}", body)


async def _make(elastic: Elastic, index: str, mapping: Document) -> None:
    """One that an earlier version made learns the fields that are new."""
    answer = await elastic.request("PUT", f"/{index}")
    if b"resource_already_exists_exception" in answer.body:
        await ask(elastic, "PUT", f"/{index}/_mapping", mapping)
    elif answer.status >= 300:
        raise refused(answer, f"making {index}")


def write_generated(folder: Path) -> None:
    """Write the generated mappings as they are packaged."""
    for name, mapping in (("readings", readings_mapping()), ("sessions", sessions_mapping())):
        (folder / f"{name}_mapping.json").write_text(json.dumps(mapping, indent=2) + "\n")


if __name__ == "__main__":
    write_generated(Path(__file__).parent / FOLDER)
