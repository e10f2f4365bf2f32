"""What an ingest route sends back."""

from collections.abc import Mapping
from dataclasses import dataclass

JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Mapping[str, str] | None = None
