"""What the pages are told before anybody has logged in."""

from importlib import metadata

from fastapi import APIRouter
from pydantic import Field

from gateway.answers import Answer, Asked

router = APIRouter(prefix="/v1", tags=["web"])


class WebShown(Answer):
    """Settings of `gateway.web`; an empty text stands for none."""

    version: str
    tile_url: str
    tile_attribution: str
    kibana_url: str
    authority: bool = Field(description="A certificate authority of this station's own is given away at /ca.crt.")


@router.get("/web")
async def web(services: Asked) -> WebShown:
    """What the pages need to know of this station."""
    told = services.settings.gateway.web
    return WebShown(
        version=metadata.version("sensorline"),
        tile_url=told.tile_url,
        tile_attribution=told.tile_attribution,
        kibana_url=told.kibana_url,
        authority=bool(services.settings.gateway.authority_file),
    )
