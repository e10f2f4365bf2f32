"""Sensorline on a disk that stops syncing: `python -m tests.faults.failing_disk FILE up ...`.

From the moment FILE exists, every sync of the log is an I/O error.
"""

import sys
from pathlib import Path

from sensorline.cli import main
from tests.faults.powerloss_vfs import Disk, PowerLossVFS

NAME = "failing-disk"


class FailingDisk(Disk):
    """Fails once its trigger is there."""

    trigger: Path

    def sync(self, name: str) -> None:
        self.fail_sync = self.trigger.exists()
        super().sync(name)


if __name__ == "__main__":
    disk = FailingDisk()
    disk.trigger = Path(sys.argv.pop(1))
    vfs = PowerLossVFS(NAME, disk)  # registered as long as it is referenced
    sys.argv += ["--set", f"adapters.sqlite.vfs={NAME}"]
    main()
