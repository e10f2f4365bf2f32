"""PORT: the store.  write, query.  One adapter a file; `open_store` opens the configured one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from telemetry import adapters
from telemetry.ports import Detail, Store


def open_store(
    name: str, options: Mapping[str, Any], data_dir: Path, *, retention_days: int, detail: Detail = "samples"
) -> Store:
    """The store adapter of that name with its own `Config`.  Not started.

    `retention_days` bounds event time: readings older than that, counted from when their batch was received, end
    as expired.  `detail` says whether readings are kept one by one.
    """
    module = adapters.load("telemetry.stores", name)
    config = adapters.configure(module, name, options)
    return cast(Store, module.open(config, data_dir, retention_days=retention_days, detail=detail))
