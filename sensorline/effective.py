"""The settings as they hold, adapters' defaults included, each with its origin and without its secrets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telemetry import adapters
from telemetry.errors import Misconfigured
from telemetry.settings import Loaded, flatten

MASK = "********"
_SECRET = re.compile(r"(^|[_.-])(api)?(key|password|passwd|token|secret|passphrase|credentials?)s?$", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^/@:\s]*:)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Value:
    """One setting; `value` is plain JSON and already masked."""

    path: str
    value: Any
    origin: str

    @property
    def text(self) -> str:
        """As a person writes it."""
        return self.value if isinstance(self.value, str) else "" if self.value is None else json.dumps(self.value)


def effective(loaded: Loaded) -> list[Value]:
    """Every setting by path; those of the chosen log and store with their defaults, where their driver is there."""
    tree = loaded.settings.model_dump(mode="json")
    chosen = {"telemetry.logs": loaded.settings.log, "telemetry.stores": loaded.settings.store}
    for port, name in chosen.items():
        tree["adapters"][name] = _options(port, name, loaded.settings.adapter(name))
    flat = {path: value for path, value in flatten(tree).items() if value != {}}
    return [Value(path, masked(path, value), loaded.origin(path)) for path, value in sorted(flat.items())]


def masked(path: str, value: Any) -> Any:
    """The value, unless its name says that it is a secret; a password inside an address is masked too."""
    if value in ("", None, [], {}):
        return value
    if any(_SECRET.search(part) for part in path.split(".")):
        return MASK
    if isinstance(value, str):
        return _USERINFO.sub(rf"\1{MASK}@", value)
    if isinstance(value, list):
        return [masked(path, item) for item in value]
    if isinstance(value, Mapping):
        return {name: masked(f"{path}.{name}", item) for name, item in value.items()}
    return value


def _options(port: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        module = adapters.load(port, name)
    except Misconfigured:  # its driver is not installed here: what was given is all there is to show
        return dict(given)
    return adapters.configure(module, name, given).model_dump(mode="json")
