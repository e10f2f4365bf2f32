"""Apache Parquet, a row group a piece, zstd: types, texts and times as they were stored."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.export._table import Sink, conform, schema_of

media_type = "application/vnd.apache.parquet"
suffix = "parquet"
sensor: str | None = None


class _Parquet:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = Sink()
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")

    def write(self, sensor: str, table: pa.Table) -> bytes:
        """See `Writer`."""
        self._writer.write_table(conform(sensor, table, self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        """See `Writer`."""
        self._writer.close()
        return self._sink.take()


def open(device: str, sensors: Sequence[str]) -> _Parquet:  # noqa: A001 - the port's word
    """A writer; a document without pieces is a table without rows."""
    return _Parquet(schema_of(sensors))
