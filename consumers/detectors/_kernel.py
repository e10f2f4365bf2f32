"""Kernels: loops over rows that are written plainly and run compiled.

A kernel is a sequential recurrence, so where a poll cut its input cannot matter; it is compiled once to the folder's
cache.  No fast-math: the same rows give the same bits.  A division by zero gives infinity or NaN, as in numpy.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def _cache_folder() -> str:
    """Named after all sources here: the library looks only at a kernel's own file, and helpers stand in others."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.glob("_*.py")):
        digest.update(source.read_bytes())
    return str(here / "__pycache__" / f"kernels-{digest.hexdigest()[:16]}")


def _usable(folder: str) -> str:
    """The folder, or a copy of it while this process runs: numba reads no cache that it cannot write to.

    So an image's compiled kernels serve a container whose file system is read-only.
    """
    if not Path(folder).is_dir() or os.access(folder, os.W_OK):
        return folder
    try:
        copy = tempfile.mkdtemp(prefix="sensorline-kernels-")
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    except OSError:  # nowhere to write: numba falls back to compiling in memory, or says that it cannot
        return folder
    for place, _, _ in os.walk(copy):
        Path(place).chmod(0o700)
    return copy


_config: Any = numba.config
if not _config.CACHE_DIR:  # somebody's own wish goes first; a folder that cannot be written is passed over
    _config.CACHE_DIR = _usable(_cache_folder())
CACHE_DIR = Path(_config.CACHE_DIR)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call, and let other threads run meanwhile."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Callable[P, R], compiled)


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """A part of kernels, compiled into them: Python itself cannot call it, so it compiles in half the time."""
    njit = cast(Any, numba.njit)  # its stubs do not know these two options
    compiled = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return cast(Callable[P, R], compiled)
