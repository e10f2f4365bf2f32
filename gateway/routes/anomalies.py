"""What detection found: a list, latest first, and each whole, with the samples around it and what people said of it."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from gateway.access import Role, require
from gateway.answers import Answer, Asked, From, Json, Name, To, check_readable, within
from gateway.openapi import guarded
from gateway.routes._anomaly_answers import AnomalyShown, AnomalyWhole, listed, whole
from gateway.services import Services
from telemetry import anomaly, errors
from telemetry.anomaly import Severity
from telemetry.batch import TIME_NS_MAX
from telemetry.errors import Invalid, NotFound

LIMIT_MAX = 1_000
LIMIT_DEFAULT = 100
_CURSOR = re.compile(r"([0-9]{1,19})-([0-9a-f]{32})", re.ASCII)

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(require(Role.VIEWER))])

AnomalyId = Annotated[
    str,
    Path(pattern=r"^[0-9a-f]{32}$", description="As the list gives it.", examples=["9f86d081884c7d659a2feaa0c55ad015"]),
]


class Anomalies(Answer):
    """Latest start first."""

    anomalies: list[AnomalyShown]
    next: str | None = Field(description="Give it as `after` for the next page; null: there is none.")


@router.get(
    "/anomalies",
    response_model=Anomalies,
    responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable),
)
async def anomalies(
    *,
    services: Asked,
    device: Annotated[Name | None, Query(description="Only this device's.")] = None,
    from_: From = 0,
    to: To = TIME_NS_MAX,
    kind: Annotated[Name | None, Query(description="Only of this kind.", examples=["fall"])] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    open_: Annotated[bool | None, Query(alias="open", description="Only those that last, or only those over.")] = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most so many.")] = LIMIT_DEFAULT,
    after: Annotated[
        str | None,
        Query(
            pattern=f"^{_CURSOR.pattern}$",
            description="`next` of the page before: what comes behind it.",
            examples=["1738324800000000000-9f86d081884c7d659a2feaa0c55ad015"],
        ),
    ] = None,
) -> Json:
    """Anomalies that touch a time span, without their samples.

    A page may have fewer than `limit` and still a `next`: those of deleted devices are left out.
    """
    if device is not None:
        await check_readable(services, device)
    asked = anomaly.Asked(device, from_, to, kind, severity, open_, limit + 1, _position(after))
    found = await within(services, services.store.anomalies(asked))
    page, more = found[:limit], found[limit:]
    shown = [listed(one, services) for one in page if _is_readable(services, one)]
    return Json({"anomalies": shown, "next": f"{page[-1].start_ns}-{page[-1].id}" if more else None})


@router.get(
    "/anomalies/{id}",
    response_model=AnomalyWhole,
    responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable),
)
async def one(services: Asked, id: AnomalyId) -> Json:  # noqa: A002 - the path's word
    """One anomaly as it is now, with the raw samples around it."""
    return Json(whole(await known(services, id), services))


async def known(services: Services, id_: str) -> anomaly.Anomaly:
    """The anomaly; raises `NotFound`, also for one of a deleted device."""
    found = await within(services, services.store.anomaly(id_))
    if found is None or not _is_readable(services, found):
        raise NotFound(f"there is no anomaly {id_}", path="id")
    return found


def _is_readable(services: Services, one: anomaly.Anomaly) -> bool:
    return not services.registry.is_deleted(one.device, one.received_ns)


def _position(after: str | None) -> tuple[int, str] | None:
    if after is None:
        return None
    found: Any = _CURSOR.fullmatch(after)
    if found is None or int(found[1]) > TIME_NS_MAX:
        raise Invalid("`after` is what `next` of the page before said", path="after")
    return int(found[1]), found[2]
