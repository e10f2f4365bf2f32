"""The token's file: read again when it changes, refused when others can read it, never lost by a bad write."""

from pathlib import Path

import pytest

from edge.credentials import TokenFile
from telemetry.errors import Misconfigured


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "edge.token"
    file.touch(mode=0o600)
    file.write_text("sl_first\n")
    return file


def test_a_new_token_is_found(path: Path) -> None:
    token = TokenFile(path)
    assert token() == "sl_first"
    assert not token.refresh()
    new = path.with_name("new")
    new.touch(mode=0o600)
    new.write_text("sl_second")
    new.replace(path)
    assert token.refresh()
    assert token() == "sl_second"


@pytest.mark.parametrize("harm", ["gone", "empty", "readable", "garbage"])
def test_once_there_was_one_a_bad_file_changes_nothing(path: Path, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    token = TokenFile(path)
    {
        "gone": path.unlink,
        "empty": lambda: path.write_text(""),
        "readable": lambda: path.chmod(0o640),
        "garbage": lambda: path.write_bytes(b"sl_\xff\n and more"),
    }[harm]()
    for _ in range(3):
        assert token() == "sl_first"
    assert len(caplog.records) == 1
    assert "sl_first" not in caplog.text
    with pytest.raises(Misconfigured):
        TokenFile(path)


def test_the_mend_is_named(tmp_path: Path, path: Path) -> None:
    with pytest.raises(Misconfigured, match="edge enroll"):
        TokenFile(tmp_path / "none")
    path.chmod(0o604)
    with pytest.raises(Misconfigured, match="chmod 600"):
        TokenFile(path)
