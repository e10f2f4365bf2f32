"""Versions at or below the oldest Kibana that is supported: a newer object is refused by an older Kibana."""

from collections.abc import Iterator

from sensorline.kibana.place import Broken, Finding, Place
from sensorline.kibana.views import CORE_VERSION, TYPE_VERSIONS

OLDEST = "8.9"
"""The first Kibana that takes every version that is written here."""


def not_above(place: Place, key: str, floor: str) -> Iterator[Finding]:
    """The version there is no newer than `floor`."""
    found = place.text(key)
    if parts(found, f"{place.path}.{key}") > parts(floor, ""):
        problem = f"is {found}, newer than {floor}: an older Kibana refuses it"
        yield Finding(f"{place.path}.{key}", problem, f"write it at {floor}")


def check(document: Place) -> Iterator[Finding]:
    """Those of a saved object."""
    yield from not_above(document, "coreMigrationVersion", CORE_VERSION)
    kind = document.text("type")
    if kind in TYPE_VERSIONS:
        yield from not_above(document, "typeMigrationVersion", TYPE_VERSIONS[kind])


def is_too_old(version: str) -> bool:
    """Whether a Kibana of this version would refuse the objects; one that does not tell its version is tried."""
    try:
        return parts(version, "version") < parts(OLDEST, "")
    except Broken:
        return False


def parts(version: str, path: str) -> tuple[int, ...]:
    """ "9.5.0-SNAPSHOT" -> (9, 5, 0); raises `Broken`."""
    try:
        return tuple(int(part) for part in version.partition("-")[0].split("."))
    except ValueError as e:
        raise Broken(path, f"{version!r} is no version") from e
