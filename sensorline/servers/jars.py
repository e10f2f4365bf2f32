"""Fetches a server's jars once, with Maven, into a cache that several callers may share.

A set of jars is fetched beside its place and renamed into it with a marker inside, so a half fetch is never used. The
folder's name holds the hash of the pom, so an edited pom is fetched anew.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sensorline.servers import apt, processes
from sensorline.servers.errors import ServersError
from sensorline.servers.locks import locked

FETCH_TIMEOUT_S = 900.0
MARKER = "COMPLETE"

Log = Callable[[str], None]


def cache_dir() -> Path:
    """`SENSORLINE_CACHE`, else ~/.cache/sensorline/servers."""
    return Path(os.environ.get("SENSORLINE_CACHE") or "~/.cache/sensorline/servers").expanduser().absolute()


def jars_dir(pom: Path, cache: Path) -> Path:
    """Where the jars of `pom` are or will be; pure but for reading the pom."""
    name = pom.name.removesuffix(".pom.xml")
    return cache / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def fetched(pom: Path, arrange: Callable[[Path], None], log: Log) -> Path:
    """The folder with the jars of `pom`, fetched if need be; `arrange(folder)` tidies them before they are seen."""
    target = jars_dir(pom, cache_dir())
    if (target / MARKER).exists():
        return target
    with locked(target.with_suffix(".lock"), FETCH_TIMEOUT_S * 2):
        if not (target / MARKER).exists():
            log(f"fetching the jars of {pom.name} into {target} (once)")
            _fetch(pom, target, arrange, log)
    return target


def _fetch(pom: Path, target: Path, arrange: Callable[[Path], None], log: Log) -> None:
    maven = apt.program("mvn", "maven", log)
    shutil.rmtree(target, ignore_errors=True)  # only an unmarked, so broken, one can be here
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        shutil.copy(pom, scratch)  # Maven may write beside the pom, and an installed package is no place for that
        fresh = Path(scratch) / "jars"
        _copy_dependencies(maven, Path(scratch) / pom.name, fresh)
        arrange(fresh)
        (fresh / MARKER).touch()
        fresh.rename(target)


def _copy_dependencies(maven: str, pom: Path, output: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={output}"]
    command = [maven, "-B", "-q", "-f", str(pom), *goal]
    try:
        processes.run(command, FETCH_TIMEOUT_S)
    except ServersError:  # Maven keeps what it has: a second attempt goes on where a torn connection ended the first
        shutil.rmtree(output, ignore_errors=True)
        processes.run(command, FETCH_TIMEOUT_S)
