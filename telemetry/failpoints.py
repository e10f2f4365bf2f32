"""Named places at which a test may kill the process, as a crash would.

`SENSORLINE_FAILPOINTS="gateway.after_append=3"` sends this process SIGKILL the third time it passes there.
Unset, a pass costs one dictionary look-up.
"""

import os
import signal


def _parse(text: str) -> dict[str, int]:
    pairs = (part.split("=", 1) for part in text.split(",") if part)
    return {name.strip(): int(count) for name, count in pairs}


_ARMED = _parse(os.environ.get("SENSORLINE_FAILPOINTS", ""))


def passing(name: str) -> None:
    """Die here if this failpoint is armed and its count has run down."""
    left = _ARMED.get(name)
    if left is None:
        return
    _ARMED[name] = left - 1
    if left <= 1:
        os.kill(os.getpid(), signal.SIGKILL)
