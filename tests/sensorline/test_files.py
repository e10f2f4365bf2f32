"""An answer saved as a file: who may read it, and that it is new."""

import stat
from pathlib import Path

from sensorline import files


def test_what_is_private_is_so_also_where_an_earlier_one_was_cut_off(tmp_path: Path) -> None:
    target, left, elsewhere = tmp_path / "backup", tmp_path / "backup.part", tmp_path / "elsewhere"
    left.write_bytes(b"half")
    left.chmod(0o644)
    assert files.save(iter([b"canary"]), target, "", private=True) == 6
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"canary", 0o600)
    elsewhere.write_bytes(b"")
    left.symlink_to(elsewhere)
    files.save(iter([b"canary"]), target, "", private=True)
    assert elsewhere.read_bytes() == b""
    assert not left.is_symlink()
