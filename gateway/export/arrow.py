"""Arrow IPC stream: what a program reads batch by batch as it arrives; `sensorline verify` does."""

from collections.abc import Sequence

import pyarrow as pa

from gateway.export._table import Sink, conform, schema_of

media_type = "application/vnd.apache.arrow.stream"
suffix = "arrows"
sensor: str | None = None


class _Arrow:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = Sink()
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def write(self, sensor: str, table: pa.Table) -> bytes:
        """See `Writer`."""
        self._writer.write_table(conform(sensor, table, self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        """See `Writer`."""
        self._writer.close()
        return self._sink.take()


def open(device: str, sensors: Sequence[str]) -> _Arrow:  # noqa: A001 - the port's word
    """A writer; a document without pieces is a table without rows."""
    return _Arrow(schema_of(sensors))
