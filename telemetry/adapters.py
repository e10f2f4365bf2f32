"""Ports as folders: list a port's adapters without importing them, import only the chosen one."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError

from telemetry.errors import Misconfigured


def names(port: str) -> list[str]:
    """The adapters of a port, e.g. `names("telemetry.logs")`; none of them is imported."""
    package = importlib.import_module(port)
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(port: str, name: str) -> ModuleType:
    """The adapter's module; raises `Misconfigured` when there is none of that name or its library is absent."""
    if name not in names(port):
        raise Misconfigured(f"no adapter {name!r} in {port}; there are: {', '.join(names(port))}")
    try:
        return importlib.import_module(f"{port}.{name}")
    except ModuleNotFoundError as e:
        if e.name and e.name.partition(".")[0] in {"telemetry", "edge", "gateway", "consumers"}:
            raise
        raise Misconfigured(f"{port}.{name} needs {e.name!r}: pip install 'sensorline[{name}]'") from e


def configure(module: ModuleType, name: str, options: Mapping[str, Any]) -> BaseModel:
    """The adapter's own `Config` of these options; raises `Misconfigured` with the setting's path.

    Not strict, whatever the model says: from the environment every value comes as text.
    """
    model: type[BaseModel] = module.Config
    try:
        return model.model_validate(dict(options), strict=False)
    except ValidationError as e:
        first = e.errors()[0]
        path = ".".join(map(str, ("adapters", name, *first["loc"])))
        raise Misconfigured(f"setting {path}: {first['msg']}", path=path) from e
