"""Where other people's collections of hostile input lie, when they are there."""

import json
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"
SUITE = SHARED / "JSONTestSuite" / "test_parsing"
STRINGS = SHARED / "blns.json"

needs_suite = pytest.mark.skipif(
    not SUITE.is_dir(), reason="JSONTestSuite is not beside this checkout (../shared/data)"
)
needs_strings = pytest.mark.skipif(
    not STRINGS.is_file(), reason="blns.json is not beside this checkout (../shared/data)"
)


def documents(prefix: str) -> dict[str, bytes]:
    """The suite's documents whose file name begins so."""
    return {path.name: path.read_bytes() for path in sorted(SUITE.glob(f"{prefix}*.json"))}


def strings() -> list[str]:
    """The big list of naughty strings."""
    found: list[str] = json.loads(STRINGS.read_text())
    return found
