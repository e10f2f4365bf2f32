"""What the OpenAPI document says of the ingest routes, by hand: path -> method -> operation.  A file a dialect."""

from typing import Any

from gateway.routes._ingest_openapi import batches, owntracks, senml, sensor_logger

OPENAPI: dict[str, dict[str, Any]] = {
    "/v1/batches": batches.ITEM,
    "/v1/sensor-logger": sensor_logger.ITEM,
    "/v1/owntracks": owntracks.ITEM,
    "/v1/senml": senml.ITEM,
}
