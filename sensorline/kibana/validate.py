"""Whether Kibana could show what is in the bundle: checked here, since a broken object imports without a word."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sensorline.kibana import check_board, check_fields, check_map, versions
from sensorline.kibana.fields import Fields
from sensorline.kibana.place import Broken, Finding, Place

__all__ = ["Finding", "validate"]

_KEYS = frozenset({"id", "type", "managed", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion"})


def validate(text: str, fields: Mapping[str, Fields]) -> list[Finding]:
    """Everything that is wrong with the lines of `text`; `fields`: what there is behind each index pattern."""
    findings: list[Finding] = []
    documents: list[Place] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            documents.append(_document(number, line))
        except Broken as e:
            findings.append(e.finding)
    findings += _unique(documents)
    views = {d.value["id"]: d for d in documents if d.value["type"] == "index-pattern"}
    known = {(d.value["type"], d.value["id"]) for d in documents}
    of_view = {id_: fields[view.value["attributes"].get("title")] for id_, view in views.items() if _has(view, fields)}
    for document in documents:
        findings += _guarded(_of_one(document, known, of_view, fields))
    return findings


def _document(number: int, line: str) -> Place:
    path = f"line {number}"
    try:
        place = Place(path, json.loads(line))
    except ValueError as e:
        raise Broken(path, f"does not parse: {e}") from e
    place = Place(f"{place.text('type')} {place.text('id')}", place.value)
    for key, kind in (("attributes", dict), ("references", list)):
        if not isinstance(place.at(key).value, kind):
            raise Broken(f"{place.path}.{key}", f"must be a {kind.__name__}")
    return place


def _unique(documents: Iterable[Place]) -> Iterator[Finding]:
    for path, times in Counter(document.path for document in documents).items():
        if times > 1:
            yield Finding(path, f"is there {times} times", "give each object an id of its own")


def _has(view: Place, fields: Mapping[str, Fields]) -> bool:
    title = view.value["attributes"].get("title")
    return isinstance(title, str) and title in fields


def _guarded(findings: Iterator[Finding]) -> Iterator[Finding]:
    """What is broken ends its own check and no other."""
    try:
        yield from findings
    except Broken as e:
        yield e.finding


def _of_one(
    document: Place, known: set[tuple[str, str]], of_view: Mapping[str, Fields], fields: Mapping[str, Fields]
) -> Iterator[Finding]:
    for key in sorted(set(document.value) - _KEYS):
        yield Finding(f"{document.path}.{key}", "is no part of a saved object here", "remove it")
    yield from _guarded(versions.check(document))
    referred: dict[str, Fields] = {}
    for place in document.items("references"):
        type_, id_, name = place.text("type"), place.text("id"), place.text("name")
        if (type_, id_) not in known:
            problem = f"{name!r} refers to the {type_} {id_!r}, which is not in the bundle"
            yield Finding(place.path, problem, "add it, or refer to one that is there")
        elif id_ in of_view:
            referred[name] = of_view[id_]
    kind = document.value["type"]
    if kind == "index-pattern":
        yield from _view(document, fields)
    elif kind == "dashboard":
        yield from _named(document, check_board.names(document))
        yield from check_board.check(document, referred)
    elif kind == "map":
        layers = check_map.layers(document.at("attributes"))
        yield from _named(document, (layer.at("sourceDescriptor").text("indexPatternRefName") for layer in layers))
        yield from check_map.check(document.at("attributes"), referred)
    else:
        yield Finding(document.path, f"{kind!r} is no kind of object known here", "use index-pattern, dashboard or map")


def _named(document: Place, used: Iterable[str]) -> Iterator[Finding]:
    """References and the names that are used inside, both ways."""
    names = Counter(place.text("name") for place in document.items("references"))
    inside = set(used)
    path = f"{document.path}.references"
    for name, times in names.items():
        if times > 1:
            yield Finding(path, f"{name!r} is there {times} times", "name each reference once")
        if name not in inside:
            yield Finding(path, f"{name!r} is used by nothing inside", "remove the reference")
    for name in sorted(inside - set(names)):
        yield Finding(path, f"{name!r} is used inside and is not there", "add the reference")


def _view(document: Place, fields: Mapping[str, Fields]) -> Iterator[Finding]:
    attributes = document.at("attributes")
    title = attributes.text("title")
    own = fields.get(title)
    if own is None:
        yield Finding(f"{document.path}.title", f"{title!r} is no index pattern of ours", "use an index of the store")
        return
    yield from check_fields.operation(document.path, "date_histogram", attributes.text("timeFieldName"), own)
    for key in ("fields", "runtimeFieldMap", "sourceFilters", "typeMeta"):
        attributes.parsed(key)
    for key in ("fieldAttrs", "fieldFormatMap"):
        about = attributes.parsed(key)
        if not isinstance(about.value, dict):
            raise Broken(about.path, "must be an object")
        for name in about.value:
            yield from check_fields.shown(f"{about.path}.{name}", name, own)
