"""What somebody finds who opens the station's address: that it runs, and where to look."""

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(tags=["health"])

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sensorline</title>
<h1>Sensorline is running</h1>
<ul>
<li><a href="/v1/stats">Counts</a>: readings that can be queried, devices, lag (open on this machine)
<li><a href="/openapi.json">The API</a>: every route, with examples
<li><a href="/metrics">Metrics</a> for Prometheus, <a href="/healthz">health</a>, <a href="/readyz">readiness</a>
</ul>
<p>Add a device: <code>sensorline device add NAME</code>.
Take its readings home: <code>sensorline export --device NAME</code>.</p>
"""
HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}


@router.get(
    "/",
    response_class=HTMLResponse,
    responses={200: {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def home() -> HTMLResponse:
    """A page that says where to look.  Holds no data."""
    return HTMLResponse(PAGE, headers=HEADERS)
