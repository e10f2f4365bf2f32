"""The gateway's HTTP application: routes, errors and counting put together; knows no socket."""

from fastapi import FastAPI

from gateway import problems
from gateway.routes import routers
from gateway.services import Services

JSON_BODY_BYTES_MAX = 64 * 2**10


def create_app(services: Services) -> FastAPI:
    """The app over these services; they must be started already, and closed by whoever made them."""
    app = FastAPI(title="Sensorline", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.services = services
    problems.install(app)
    for router in routers():
        app.include_router(router)
    return app
