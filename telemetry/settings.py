"""Settings: defaults < file < environment < flags, and where each value came from.

File: TOML, `sensorline.toml` in the working folder, or what `SENSORLINE_CONFIG` or `--config` names.
Environment: `SENSORLINE_` and the path with `__` between its parts, e.g. `SENSORLINE_GATEWAY__PORT=8080` or
`SENSORLINE_ADAPTERS__KAFKA__BOOTSTRAP=...`.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from telemetry.errors import Misconfigured
from telemetry.sections import (
    Alerts,
    Consumers,
    Detect,
    Gateway,
    Limits,
    Mqtt,
    Retention,
    Section,
    Web,
    Window,
    Windows,
)

__all__ = [
    "ENV_PREFIX",
    "FILE_DEFAULT",
    "Alerts",
    "Consumers",
    "Detect",
    "Gateway",
    "Limits",
    "Loaded",
    "Mqtt",
    "Retention",
    "Section",
    "Settings",
    "Web",
    "Window",
    "Windows",
    "flatten",
    "load",
    "nest",
]

ENV_PREFIX = "SENSORLINE_"
FILE_DEFAULT = Path("sensorline.toml")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    data_dir: Path = Field(Path("var"), description="the operator's key, and the embedded log and store")
    log: str = Field("sqlite", description="adapter of the log: sqlite, kafka, memory")
    store: str = Field("duckdb", description="adapter of the store: duckdb, elasticsearch, memory")
    store_detail: Literal["samples", "windows"] = Field(
        "samples", description="what the store keeps of readings: each of them, or only their windows"
    )
    adapters: dict[str, dict[str, Any]] = Field(default_factory=dict, description="each adapter's own settings")
    gateway: Gateway = Gateway()
    consumers: Consumers = Consumers()
    retention: Retention = Retention()
    windows: Windows = Windows()
    detect: Detect = Detect()
    alerts: Alerts = Alerts()
    log_level: str = "info"

    @model_validator(mode="after")
    def _windows_are_made(self) -> Self:
        if self.store_detail == "windows" and not self.windows.enabled:
            raise ValueError("store_detail=windows keeps readings as windows only: windows.enabled must be true")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` merges the sources itself, so that each value's origin is known."""
        return (init_settings,)

    def adapter(self, name: str) -> dict[str, Any]:
        """The settings of one adapter."""
        return self.adapters.get(name, {})


class Loaded(BaseModel):
    """Settings with the origin (file, environment, flag; else default) of each dotted path."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    origins: dict[str, str]

    def origin(self, path: str) -> str:
        """Where the value at this dotted path came from."""
        return self.origins.get(path, "default")


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """Merge file, environment and flags (dotted path -> value); raises `Misconfigured` with the path and origin."""
    layers = (*_file_layer(file), ("environment", _environment()), ("flag", nest(flags or {})))
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for path, value in flatten(layer).items():
            origins[path] = origin
            _put(merged, path, value)
    try:
        return Loaded(settings=Settings(**merged), origins=origins)
    except ValidationError as e:
        first = e.errors()[0]
        path = ".".join(map(str, first["loc"]))
        raise Misconfigured(f"setting {path} ({origins.get(path, 'default')}): {first['msg']}", path=path) from e


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        _put(tree, path, value)
    return tree


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for name in parents:
        tree = tree.setdefault(name, {})
    tree[leaf] = value


def _file_layer(file: Path | None) -> list[tuple[str, dict[str, Any]]]:
    named = file or (Path(os.environ[f"{ENV_PREFIX}CONFIG"]) if os.environ.get(f"{ENV_PREFIX}CONFIG") else None)
    path = named or FILE_DEFAULT
    if not path.exists():
        if named:
            raise Misconfigured(f"there is no settings file {path}")
        return []
    try:
        return [(f"file {path}", tomllib.loads(path.read_text()))]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Misconfigured(f"settings file {path}: {e}") from e


# Variables of other parts that share the prefix: they are not settings.
NOT_SETTINGS = frozenset({"CONFIG", "FAILPOINTS", "CACHE", "APT", "REAL", "KEY", "URL", "SEED", "SEEDS"})


def _environment() -> dict[str, Any]:
    ours = {k.removeprefix(ENV_PREFIX).upper() for k in os.environ if k.upper().startswith(ENV_PREFIX)}
    heads = {name.partition("__")[0].lower() for name in ours - NOT_SETTINGS}
    unknown = {h for h in heads if h not in Settings.model_fields and not h.startswith("test_")}
    if unknown:
        raise Misconfigured(f"environment variable {ENV_PREFIX}{sorted(unknown)[0].upper()} is no setting")
    source = EnvSettingsSource(Settings, env_prefix=ENV_PREFIX, env_nested_delimiter="__", case_sensitive=False)
    return dict(source())
