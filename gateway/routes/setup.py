"""Setting a phone up: addresses for its camera, drawn as QR codes for the page of whoever enrols it."""

import io
from typing import Annotated, Literal

import segno
from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from gateway.answers import Answer
from gateway.openapi import guarded
from gateway.routes.devices import CHANGE, DevicePath, Operator, Order, Parts
from telemetry import errors, set_up
from telemetry.errors import NotFound
from telemetry.loopback import is_loopback_url

router = APIRouter(prefix="/v1/devices", tags=["operate"])

ON_LOOPBACK = "This address is this machine's own: no phone can reach it. Start the station with: sensorline up --https"
PLAIN_HTTP = "A browser gives a page its sensors over HTTPS only. Start the station with: sensorline up --https"
CHARS_MAX = 64


class Credentials(Order):
    """What was given to the device: a code, a token, or both.  They are drawn, not checked and not kept."""

    code: Annotated[str | None, Field(min_length=1, max_length=CHARS_MAX, examples=["K7QM-2XPD"])] = None
    token: Annotated[str | None, Field(min_length=1, max_length=CHARS_MAX)] = None


class Link(Answer):
    """One way to set a phone up."""

    app: Literal["phone", "sensor_logger", "owntracks"]
    address: str
    svg: str = Field(description="The address as a QR code.")
    note: str = Field(description="What keeps it from working, and the mend; empty when nothing does.")


class Links(Answer):
    """Those that the given credentials are good for."""

    links: list[Link]


@router.post("/{device}/setup", responses=guarded(*CHANGE, errors.NotFound))
async def setup(device: DevicePath, body: Credentials, request: Request, services: Parts, who: Operator) -> Links:
    """Addresses that set a phone up as this device; the code makes the web page's, the token the apps'."""
    if body.token is not None and services.registry.device(device) is None:
        raise NotFound(f"there is no device {device}", path="device")
    url = services.settings.gateway.public_url or str(request.base_url).rstrip("/")
    links = []
    if body.code is not None:
        links.append(_link("phone", set_up.phone_address(url, body.code), _note(url, needs_tls=True)))
    if body.token is not None:
        note = _note(url, needs_tls=False)
        links.append(_link("sensor_logger", set_up.sensor_logger_address(url, body.token), note))
        links.append(_link("owntracks", set_up.owntracks_address(url, device, body.token), note))
    return Links(links=links)


def _note(url: str, *, needs_tls: bool) -> str:
    if is_loopback_url(url):
        return ON_LOOPBACK
    return PLAIN_HTTP if needs_tls and not url.startswith("https://") else ""


def _link(app: Literal["phone", "sensor_logger", "owntracks"], address: str, note: str) -> Link:
    return Link(app=app, address=address, svg=_svg(address), note=note)


def _svg(address: str) -> str:
    """Dark on light whatever the page's colours are: a camera needs that."""
    drawn = io.BytesIO()
    code = segno.make(address, error="l", micro=False)
    code.save(drawn, kind="svg", border=4, scale=4, dark="#000", light="#fff", xmldecl=False, omitsize=True)
    return drawn.getvalue().decode()
