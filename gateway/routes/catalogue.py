"""The sensors that are known, with their fields and units: what a page may offer to draw."""

from typing import Any, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from gateway.access import Role, require
from gateway.answers import Answer, Json
from gateway.openapi import guarded
from telemetry import reading
from telemetry.reading import CATALOGUE, Kind

KINDS = {Kind.FLOAT32: "number", Kind.FLOAT64: "number", Kind.BOOL: "bool", Kind.TEXT: "text"}

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])


class FieldListed(Answer):
    """A value that a reading can have."""

    name: str = Field(examples=["x"])
    unit: str = Field(description="SI, with prefixes; empty where there is none.", examples=["m/s2"])
    kind: Literal["number", "text", "bool"]


class SensorListed(Answer):
    """A sensor and its fields, in canonical order."""

    name: str = Field(examples=["acceleration"])
    fields: list[FieldListed]


class Catalogue(Answer):
    """Every sensor of the catalogue; devices may send others, of which there are no fields."""

    sensors: list[SensorListed]


@router.get("/catalogue", response_model=Catalogue, responses=guarded())
async def catalogue() -> Json:
    """Which sensors there are, and what their readings hold."""
    return Json({"sensors": [_listed(sensor) for sensor in CATALOGUE.values()]})


def _listed(sensor: reading.Sensor) -> dict[str, Any]:
    fields = [{"name": f.name, "unit": f.unit, "kind": KINDS[f.kind]} for f in sensor.fields]
    return {"name": sensor.name, "fields": fields}
