"""PORT: the log.  append, read, commit.  One adapter a file; `open_log` opens the configured one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from telemetry import adapters
from telemetry.ports import Log


def open_log(name: str, options: Mapping[str, Any], data_dir: Path) -> Log:
    """The log adapter of that name with its own `Config`; `data_dir` is where it may keep files.  Not started."""
    module = adapters.load("telemetry.logs", name)
    return cast(Log, module.open(adapters.configure(module, name, options), data_dir))
