"""Finds a program, and where that is allowed installs the Debian package that brings it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sensorline.servers import processes
from sensorline.servers.errors import ServersError

INSTALL_TIMEOUT_S = 900.0
DAEMONS = "/usr/sbin:/usr/local/sbin"  # not on every user's path

Log = Callable[[str], None]


def program(name: str, package: str, log: Log) -> str:
    """The program's path; raises `ServersError` with the mend when it is absent and may not be installed."""
    if _find(name) is None and _may_install():
        with _one_at_a_time():
            if _find(name) is None:
                _install(package, log)
    found = _find(name)
    if found is None:
        raise ServersError(f"{name} is not here: apt-get install {package} (or set SENSORLINE_APT=1)")
    return found


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=DAEMONS)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Of all processes: apt-get refuses a second one, and each may want the same package."""
    with (Path(tempfile.gettempdir()) / "sensorline-apt.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # whoever holds it is bounded by `INSTALL_TIMEOUT_S`
        yield


def _may_install() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("SENSORLINE_APT") == "1"


def _install(package: str, log: Log) -> None:
    log(f"installing {package} with apt-get")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        processes.run([*sudo, "apt-get", *arguments], INSTALL_TIMEOUT_S, environment)
