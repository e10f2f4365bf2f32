"""Enrolment by code: an operator asks for one, a person carries it to the device, the device gets its token for it."""

import logging
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from gateway.addresses import address_of
from gateway.answers import Answer, Name
from gateway.auth import check_fresh
from gateway.openapi import answers, guarded
from gateway.routes.devices import CHANGE, DevicePath, Operator, Order, Parts
from telemetry import errors, metrics
from telemetry.errors import Conflict, NotFound

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["enrol"])

REFUSALS = (errors.NotReady, errors.NotFound, errors.Conflict, errors.RateLimited)
BY_CODE = "(enrolment code)"  # who did it, in the audit trail: no operator can be called so
EXAMPLE = "K7QM-2XPD"

CodeText = Annotated[str, Field(min_length=1, max_length=64, examples=[EXAMPLE])]


class NewCode(Answer):
    """A code for one use until `expires_ns`, shown this once."""

    device: str
    code: str = Field(examples=[EXAMPLE])
    expires_ns: int


class Enrolling(Order):
    """The code, in capitals or not, with its dash or without; and the device that it is expected to be for."""

    code: CodeText
    device: Name | None = Field(None, examples=["pi-7f3a"])


class Enrolled(Answer):
    """The device's token, shown this once, and the station's address where it is configured (else empty)."""

    device: str
    token: str
    token_id: str
    url: str


@router.post("/devices/{device}/codes", status_code=201, responses=guarded(*CHANGE, errors.RateLimited))
async def offer_code(device: DevicePath, services: Parts, who: Operator) -> NewCode:
    """Get a code that enrols a device, new or known, within ten minutes."""
    async with services.audit.change(who.name, "device.code", device):
        made = await services.enrolment.offer(device)
    return NewCode(device=made.device, code=made.code, expires_ns=made.expires_ns)


@router.post("/enroll", responses=answers(*CHANGE, *REFUSALS))
async def enrol_by_code(body: Enrolling, request: Request, services: Parts) -> Enrolled:
    """Get a device's token for a code.  A code that is wrong, used or expired is answered alike, and after five such
    tries an address waits.  A code for another device than is expected stays good."""
    check_fresh(services)
    address = address_of(request)
    tried = services.tries.begin(address, services.clock.monotonic_s())
    try:
        device = await services.enrolment.offered(body.code)
        if body.device not in (None, device):
            raise Conflict(f"this code is for {device}, and not for {body.device}: it was not used", path="$.device")
        async with services.audit.change(BY_CODE, "device.enrol", device):
            issued = await services.enrolment.redeem(body.code)
    except NotFound:
        metrics.codes_refused.inc()
        logger.warning("an enrolment code from %s is no good", address)
        raise
    except errors.SensorlineError:
        tried.take_back()
        raise
    tried.take_back()
    url = services.settings.gateway.public_url
    return Enrolled(device=issued.device, token=issued.token, token_id=issued.token_id, url=url)
