"""Sources and the transport by their names in the settings: the adapter's module, its `Config`, then `open`."""

from collections.abc import Callable
from typing import cast

from edge.settings import EdgeSettings, SourceSettings
from edge.sources import Adapter, Context, Source
from edge.transports import Transport
from telemetry import adapters
from telemetry.clock import Clock
from telemetry.errors import Misconfigured

SOURCES = "edge.sources"
TRANSPORTS = "edge.transports"


def source(settings: SourceSettings, context: Context) -> Source:
    """Touches no device yet.  Raises `Misconfigured` with the setting's path."""
    name = context.name
    try:
        module = adapters.load(SOURCES, settings.type)
        config = adapters.configure(module, name, settings.options)
    except Misconfigured as e:
        path = e.path and f"sources.{e.path.removeprefix('adapters.')}"
        said = e.message.replace(f"adapters.{name}", f"sources.{name}") if path else f"source {name}: {e.message}"
        raise Misconfigured(said, path=path) from e
    return cast(Adapter, module).open(config, context)


def transport(settings: EdgeSettings, token: Callable[[], str], clock: Clock) -> Transport:
    """The chosen way to the gateway; opens no connection yet.  Raises `Misconfigured` with the setting's path."""
    name = settings.transport
    module = adapters.load(TRANSPORTS, name)
    config = adapters.configure(module, name, settings.adapters.get(name, {}))
    opened = module.open(config, device=settings.device, token=token, clock=clock, folder=settings.folder)
    return cast(Transport, opened)
