"""What every log asks of a record before it takes it: text that is UTF-8, and a size under the bound."""

from collections.abc import Container, Mapping, Sequence

from telemetry.errors import Invalid, TooLarge
from telemetry.ports import Entry, Record

VALUE_BYTES_MAX = 8 * 2**20  # an inflated batch
OVERHEAD_BYTES_MAX = 64 * 2**10  # key and headers
RECORD_BYTES_MAX = VALUE_BYTES_MAX + OVERHEAD_BYTES_MAX


def size_bytes(key: str, value: bytes | None, headers: Mapping[str, str]) -> int:
    """Key, value and headers together, as UTF-8."""
    size = len(key.encode()) + len(value or b"")
    for name, text in headers.items():
        size += len(name.encode()) + len(text.encode())
    return size


def check(records: Sequence[Record], partitions: Container[int] = (0,)) -> int:
    """The size of all records in bytes.

    Raises `TooLarge` for one over the bound, `Invalid` for text not UTF-8 or a partition that is not there.
    """
    total = 0
    for record in records:
        if record.partition is not None and record.partition not in partitions:
            raise Invalid(f"record {record.key[:64]!r} is for partition {record.partition}, which its topic has not")
        try:
            size = size_bytes(record.key, record.value, record.headers)
        except UnicodeEncodeError as e:
            raise Invalid(f"a record's key and headers must be UTF-8 text: {e}") from e
        if size > RECORD_BYTES_MAX:
            raise TooLarge(f"record {record.key[:64]!r} has {size} bytes; the log takes {RECORD_BYTES_MAX}")
        total += size
    return total


def entry_bytes(entry: Entry) -> int:
    """The size of an entry that was read back."""
    return size_bytes(entry.key, entry.value, entry.headers)
