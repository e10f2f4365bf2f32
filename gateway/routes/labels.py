"""Operators say of an anomaly that they have seen it, whether it is real, and a note."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from gateway.access import Principal, Role, require
from gateway.answers import Asked
from gateway.openapi import guarded
from gateway.routes._anomaly_answers import LabelShown, label_shown
from gateway.routes.anomalies import AnomalyId, known
from telemetry import errors
from telemetry.labels import NOTE_CHARS_MAX, Verdict

router = APIRouter(prefix="/v1", tags=["operate"])

Note = Annotated[str, Field(max_length=NOTE_CHARS_MAX, examples=["dropped on the kitchen floor"])]


class Said(BaseModel):
    """Takes the place of what was said before."""

    model_config = ConfigDict(strict=True, extra="forbid")

    acknowledged: bool = Field(description="Somebody has seen it: no further alert of it.")
    verdict: Verdict | None = Field(None, description="Was it what it says?  null: nobody has judged.")
    note: Note = ""


@router.put(
    "/anomalies/{id}/label",
    response_model=LabelShown,
    responses=guarded(
        errors.Malformed,
        errors.TooLarge,
        errors.NotFound,
        errors.Invalid,
        errors.StoreUnavailable,
        errors.LogUnavailable,
        errors.LogFull,
    ),
)
async def put_label(
    id: AnomalyId,  # noqa: A002 - the path's word
    body: Said,
    services: Asked,
    who: Annotated[Principal, Depends(require(Role.OPERATOR))],
) -> dict[str, Any]:
    """Acknowledge an anomaly, judge it, and note what it was."""
    anomaly = await known(services, id)
    details = {"device": anomaly.device, "acknowledged": body.acknowledged, "verdict": body.verdict}
    async with services.audit.change(who.name, "anomaly.label", id, details):
        label = await services.labelling.put(
            anomaly, acknowledged=body.acknowledged, verdict=body.verdict, note=body.note, by=who.name
        )
    return label_shown(label)
