"""Everything a fleet sent, found again after a move: backup and restore, and migrate; and after a kill -9."""

from pathlib import Path
from typing import Any

import pytest

from tests.sensorline.program import Running, invoke, up

FIGURES = ("lost_acked", "dup_stored", "corrupt", "unaccounted")


def sent(folder: Path, station: Running, data_dir: str, ledger: str = "ledger") -> int:
    """Let a small fleet send, wait until all is stored; readings."""
    fleet = ["--devices", "3", "--seconds", "3", "--speed", "0", "--prefix", "mv"]
    (told,) = invoke(folder, "simulate", *fleet, "--ledger", ledger, "--url", station.url, "--data-dir", data_dir)
    verified(folder, station, data_dir, told["sent"])
    return int(told["sent"])


def verified(folder: Path, station: Running, data_dir: str, readings: int, ledger: str = "ledger") -> None:
    (report,) = invoke(folder, "verify", "--ledger", ledger, "--url", station.url, "--data-dir", data_dir)
    assert [report[name] for name in FIGURES] == [0, 0, 0, 0]
    assert report["stored"] == readings > 5_000


def devices(folder: Path, station: Running, data_dir: str) -> list[tuple[Any, ...]]:
    listed = invoke(folder, "device", "list", "--url", station.url, "--data-dir", data_dir)
    return [(d["device"], d["readings"], d["sensors"], [t["id"] for t in d["tokens"]]) for d in listed]


def test_backup_and_restore(tmp_path: Path) -> None:
    with up(tmp_path, "old") as station:
        readings = sent(tmp_path, station, "old")
        before = devices(tmp_path, station, "old")
        (made,) = invoke(tmp_path, "backup", "b.zst", "--url", station.url, "--data-dir", "old")
    assert made["records"]["batches"] == 9
    assert (tmp_path / "b.zst").stat().st_mode & 0o777 == 0o600
    assert invoke(tmp_path, "restore", "b.zst", "--data-dir", "new")[0]["records"] == made["records"]
    (tmp_path / "new" / "operator.key").write_bytes((tmp_path / "old" / "operator.key").read_bytes())
    with up(tmp_path, "new") as station:
        assert station.ready["operator_key"] is None
        verified(tmp_path, station, "new", readings)
        assert devices(tmp_path, station, "new") == before


def test_migrate_to_another_folder(tmp_path: Path) -> None:
    with up(tmp_path, "old") as station:
        readings = sent(tmp_path, station, "old")
        before = devices(tmp_path, station, "old")
        invoke(tmp_path, "migrate", "--data-dir", "old", "--to-data-dir", "new", code=1)  # it runs
    (moved,) = invoke(tmp_path, "migrate", "--data-dir", "old", "--to-data-dir", "new")
    assert moved["batches"]["copied"] == 9
    with up(tmp_path, "new") as station:
        verified(tmp_path, station, "new", readings)
        assert devices(tmp_path, station, "new") == before


@pytest.mark.crash
def test_a_station_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    with up(tmp_path, "data") as station:
        fleet = ["--devices", "3", "--seconds", "3", "--speed", "0", "--prefix", "mv"]
        invoke(tmp_path, "simulate", *fleet, "--ledger", "ledger", "--url", station.url, "--data-dir", "data")
        station.process.kill()
        station.process.wait()
    with up(tmp_path, "data") as station:
        (report,) = invoke(tmp_path, "verify", "--ledger", "ledger", "--url", station.url, "--data-dir", "data")
    assert [report[name] for name in FIGURES] == [0, 0, 0, 0]
    assert report["stored"] == report["sent"] > 5_000
