"""Operators enrol devices, change how they measure, rotate and revoke their tokens; admins delete them."""

import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from gateway.access import Principal, Role, require
from gateway.answers import Answer, Name
from gateway.openapi import guarded
from gateway.services import Services, services_of
from telemetry import errors
from telemetry.enrolment import Issued

router = APIRouter(prefix="/v1/devices", tags=["operate"])

OVERLAP_MAX_S = 30 * 86_400.0

CHANGE = (errors.Malformed, errors.TooLarge, errors.Invalid, errors.LogUnavailable)

Platform = Literal["", "android", "ios"]
DevicePath = Annotated[Name, Path(examples=["pi-7f3a"])]
Parts = Annotated[Services, Depends(services_of)]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]


class Order(BaseModel):
    """Nothing is converted and nothing unknown is let in."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class NewDevice(Order):
    """A device to be enrolled."""

    device: Name = Field(examples=["pi-7f3a"])
    platform: Platform = ""
    standardised: bool = False


class DeviceChange(Order):
    """What is given is changed."""

    platform: Platform | None = None
    standardised: bool | None = None


class Rotation(Order):
    """How long the old tokens stay good."""

    overlap_s: float = Field(3600.0, ge=0, le=OVERLAP_MAX_S)


class Revocation(Order):
    """One token, or all when none is named."""

    token_id: str | None = Field(None, max_length=64)


class IssuedToken(Answer):
    """A new token, shown this once."""

    device: str
    token: str
    token_id: str


class DeviceSettings(Answer):
    """How a device measures."""

    device: str
    platform: str
    standardised: bool


class Revoked(Answer):
    """How many tokens were ended."""

    device: str
    revoked: int


class Deleted(Answer):
    """`rows` were removed from the store; from `log_clean_by` on the log has none either."""

    device: str
    rows: int
    log_clean_by: str


def _issued(issued: Issued) -> IssuedToken:
    return IssuedToken(device=issued.device, token=issued.token, token_id=issued.token_id)


@router.post("", status_code=201, responses=guarded(*CHANGE, errors.Conflict))
async def enrol_device(body: NewDevice, services: Parts, who: Operator) -> IssuedToken:
    """Enrol a device and get its first token."""
    details = {"platform": body.platform, "standardised": body.standardised}
    async with services.audit.change(who.name, "device.enrol", body.device, details):
        issued = await services.enrolment.enrol(body.device, platform=body.platform, standardised=body.standardised)
    return _issued(issued)


@router.patch("/{device}", responses=guarded(*CHANGE, errors.NotFound))
async def change_device(device: DevicePath, body: DeviceChange, services: Parts, who: Operator) -> DeviceSettings:
    """Change how a device measures; batches from now on are read so."""
    async with services.audit.change(who.name, "device.change", device, body.model_dump(exclude_none=True)):
        now = await services.enrolment.update(device, platform=body.platform, standardised=body.standardised)
    return DeviceSettings(device=now.name, platform=now.platform, standardised=now.standardised)


@router.post("/{device}/rotate", responses=guarded(*CHANGE, errors.NotFound))
async def rotate_token(device: DevicePath, services: Parts, who: Operator, body: Rotation | None = None) -> IssuedToken:
    """Get a new token; the old ones end after the overlap."""
    overlap_s = (body or Rotation()).overlap_s
    async with services.audit.change(who.name, "device.rotate", device, {"overlap_s": overlap_s}):
        issued = await services.enrolment.rotate(device, overlap_s=overlap_s)
    return _issued(issued)


@router.post("/{device}/revoke", responses=guarded(*CHANGE, errors.NotFound))
async def revoke_tokens(device: DevicePath, services: Parts, who: Operator, body: Revocation | None = None) -> Revoked:
    """End a token, or all; every gateway refuses them within seconds."""
    token_id = body.token_id if body else None
    details: dict[str, Any] = {"token_id": token_id} if token_id else {}
    async with services.audit.change(who.name, "device.revoke", device, details):
        ended = await services.enrolment.revoke(device, token_id=token_id)
    return Revoked(device=device, revoked=ended)


@router.delete("/{device}", responses=guarded(errors.NotFound, errors.Invalid, errors.StoreUnavailable))
async def delete_device(device: DevicePath, services: Parts, who: Admin) -> Deleted:
    """Delete a device and its data: unreadable at once, gone from the store now and from the log when its
    retention drops it.  Safe to repeat."""
    async with services.audit.change(who.name, "device.delete", device):
        deleted_ns = await services.enrolment.delete(device)
        await services.labelling.forget(device)
        rows = await services.store.delete_device(device)
    return Deleted(device=device, rows=rows, log_clean_by=_clean_by(deleted_ns, services.settings.retention.log_hours))


def _clean_by(deleted_ns: int, log_hours: float) -> str:
    """The first day, UTC, on which the log keeps nothing from before."""
    ends = datetime.datetime.fromtimestamp(deleted_ns / 1e9, datetime.UTC) + datetime.timedelta(hours=log_hours)
    return (ends.date() + datetime.timedelta(days=1)).isoformat()
