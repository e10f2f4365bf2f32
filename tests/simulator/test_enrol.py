"""Tokens from a file."""

from pathlib import Path

import pytest

from simulator.enrol import read_tokens
from telemetry.errors import Malformed


def test_lines_as_device_add_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text('{"device": "a", "token": "1", "url": "x"}\n\n{"device": "b", "token": "2"}')
    assert read_tokens(file) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("line", ["{", "7", '{"device": "a"}'])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text('{"device": "a", "token": "1"}\n' + line)
    with pytest.raises(Malformed, match="line 2"):
        read_tokens(file)
