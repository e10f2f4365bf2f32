"""What a process has used, from /proc: CPU, memory, and what it made the kernel write."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """Up to a moment."""

    at_s: float
    user_s: float
    kernel_s: float
    written_bytes: int  # that went to the block layer on its behalf
    switches: int  # context switches it asked for: its wake-ups, nearly

    @property
    def cpu_s(self) -> float:
        """Of all threads."""
        return self.user_s + self.kernel_s

    @classmethod
    def of(cls, pid: int) -> "Usage":
        """Of a living process."""
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        written = _pairs(Path(f"/proc/{pid}/io").read_text())["write_bytes"]
        switches = sum(
            int(_pairs(task.joinpath("status").read_text())["voluntary_ctxt_switches"])
            for task in Path(f"/proc/{pid}/task").iterdir()
        )
        user_s, kernel_s = int(fields[11]) / TICKS_A_SECOND, int(fields[12]) / TICKS_A_SECOND
        return cls(time.monotonic(), user_s, kernel_s, int(written), switches)


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB: resident now, its peak so far, and of it what is the process's own rather than files'."""

    rss: float
    peak: float
    anonymous: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Of a living process."""
        kib = _pairs(Path(f"/proc/{pid}/status").read_text())
        return cls(*(round(int(kib[name].split()[0]) / 1024, 1) for name in ("VmRSS", "VmHWM", "RssAnon")))


def _pairs(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
