"""Operators give a device settings to download, and see what it reports; a device asks whose its token is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request

from gateway.access import Principal, Role, require
from gateway.answers import Answer, Asked
from gateway.auth import device_of
from gateway.openapi import guarded
from gateway.routes.devices import CHANGE, DevicePath, Operator
from telemetry import errors
from telemetry.device_settings import Reported, Wanted
from telemetry.remote_settings import Changes, Versioned

router = APIRouter(prefix="/v1", tags=["operate"])

Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]


class SettingsReported(Answer):
    """What the device said last: the version in force, the newer one that failed and why; and since when."""

    in_force: int
    failed: int | None = None
    reason: str = ""
    at_ns: int


class SettingsShown(Answer):
    """What is wanted, and what the device reports; absent where it never reported.  Version 0: its own file holds."""

    device: str
    wanted: Versioned = Field(examples=[{"version": 3, "batch_period_s": 2.0, "sources": {"imu": {"rate_hz": 50}}}])
    wanted_at_ns: int | None = None
    reported: SettingsReported | None = None


class Oneself(Answer):
    """Whose token it is, until when it is good (absent: for good), and this server's clock."""

    device: str
    token_id: str
    expires_ns: int | None = None
    now_ns: int


@router.get("/devices/{device}/settings", responses=guarded(errors.NotFound), response_model_exclude_none=True)
async def device_settings(device: DevicePath, services: Asked, who: Viewer) -> SettingsShown:
    """The settings a device is to download, and what it reports."""
    wanted, reported = await services.device_settings.of(device)
    return _shown(device, wanted, reported)


@router.put(
    "/devices/{device}/settings",
    responses=guarded(*CHANGE, errors.NotFound, errors.Conflict),
    response_model_exclude_none=True,
)
async def change_device_settings(device: DevicePath, body: Changes, services: Asked, who: Operator) -> SettingsShown:
    """Give a device these settings with the answer to its next batch, in place of those of before; `{}`: its own."""
    async with services.audit.change(who.name, "device.settings", device, body.given):
        await services.device_settings.change(device, body)
    wanted, reported = await services.device_settings.of(device)
    return _shown(device, wanted, reported)


DEVICE_KEY: dict[str, Any] = {"security": [{"device": []}]}


@router.get(
    "/device", responses=guarded(errors.RateLimited), response_model_exclude_none=True, openapi_extra=DEVICE_KEY
)
async def oneself(request: Request, services: Asked) -> Oneself:
    """Whose token this is: for a device that checks its settings without sending anything."""
    holder = device_of(services, request.headers.get("authorization"))
    services.intake.buckets.take(holder.device, services.clock.monotonic_s())
    now_ns = services.clock.now_ns()
    return Oneself(device=holder.device, token_id=holder.token_id, expires_ns=holder.expires_ns, now_ns=now_ns)


def _shown(device: str, wanted: Wanted, reported: Reported | None) -> SettingsShown:
    said = None
    if reported is not None:
        report = reported.report
        said = SettingsReported(
            in_force=report.in_force, failed=report.failed, reason=report.reason, at_ns=reported.at_ns
        )
    return SettingsShown(device=device, wanted=wanted.settings, wanted_at_ns=wanted.at_ns, reported=said)
