"""The detectors' kernels, compiled before they are needed: `python -m consumers.compile NAME...` fills their cache.

A compilation takes the better part of a minute of CPU, once on a machine, and holds the interpreter's lock: it is done
in processes of its own, one a detector, while the station that started them does its work.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numba
import numpy as np

from consumers import detectors
from consumers.detectors._kernel import CACHE_DIR
from consumers.profiles import MOTION_FIELDS
from telemetry import adapters

logger = logging.getLogger(__name__)

PORT = "consumers.detectors"
WAIT_S = 600.0


def compile_here(names: Sequence[str] = ()) -> None:
    """Compile these detectors' (none: all detectors') kernels in this process, or load them from the cache."""
    names = names or adapters.names(PORT)
    for name in names:
        fields = MOTION_FIELDS if name in {"motion", "health"} else ("value",)
        detectors.make(name, fields).update(np.arange(2) * 10**7, np.zeros((2, len(fields))))
        if name == "health":  # its rules for columns of which nothing is known
            detectors.make(name, ("x", "y")).update(np.arange(2) * 10**7, np.zeros((2, 2)))
    for name in names:
        with contextlib.suppress(OSError):  # a cache that cannot be written: it is compiled at each start
            _mark(name).parent.mkdir(parents=True, exist_ok=True)
            _mark(name).touch()


def to_compile() -> list[str]:
    """The detectors that are not in the cache yet."""
    return [name for name in adapters.names(PORT) if not _mark(name).exists()]


async def compile_ahead() -> None:
    """Have everything that is not in the cache compiled, in other processes; ends them when it is cancelled."""
    missing = to_compile()
    if not missing:
        return
    logger.info("compiling the detectors %s, once on this machine", ", ".join(missing))
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, name) for name in missing]
    try:
        async with asyncio.timeout(WAIT_S):
            codes = await asyncio.gather(*(process.wait() for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if any(codes):
        logger.warning("the detectors could not be compiled ahead (exit codes %s): they will be when needed", codes)


def _mark(name: str) -> Path:
    """Is there once a detector was compiled from these sources for this interpreter."""
    version = f"{sys.implementation.cache_tag}-{numba.__version__}"
    return CACHE_DIR / f"{name}-{version}.compiled"


if __name__ == "__main__":
    compile_here(sys.argv[1:])
