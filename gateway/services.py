"""What the gateway's routes work with: built once by the station, found by each request in `app.state.services`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.requests import HTTPConnection

from gateway.audit import Audit
from gateway.intake import Intake
from gateway.live.hub import Hub
from gateway.login_tries import LoginTries
from gateway.tries import Tries
from telemetry import metrics
from telemetry.clock import Clock
from telemetry.device_settings import DeviceSettings
from telemetry.enrolment import Enrolment
from telemetry.labels import Labelling, Labels
from telemetry.mqtt_accounts import Accounts
from telemetry.ports import Log, Store
from telemetry.registry import Registry
from telemetry.settings import Settings


@dataclass(slots=True)
class MqttState:
    """How the listener fares at its broker; `state` is off, connected or disconnected."""

    state: Literal["off", "connected", "disconnected"] = "off"
    reason: str = ""  # of the last failure


@dataclass(frozen=True)
class Services:
    """The parts of one gateway.  `lag` answers the records not yet committed, by consumer."""

    settings: Settings
    clock: Clock
    log: Log
    store: Store
    registry: Registry
    enrolment: Enrolment
    intake: Intake
    audit: Audit
    device_settings: DeviceSettings
    labelling: Labelling
    live: Hub
    lag: Callable[[], Awaitable[dict[str, int]]]
    tries: Tries = field(default_factory=Tries)
    login_tries: LoginTries = field(default_factory=LoginTries)
    mqtt: MqttState = field(default_factory=MqttState)

    @classmethod
    def build(
        cls,
        *,
        settings: Settings,
        clock: Clock,
        log: Log,
        store: Store,
        registry: Registry,
        labels: Labels,
        lag: Callable[[], Awaitable[dict[str, int]]],
        accounts: Accounts | None = None,
    ) -> "Services":
        """Wire the gateway's own parts to what the station opened; `accounts` are a broker's."""
        gateway = settings.gateway
        metrics.devices_age_seconds.set_function(registry.age_s)
        enrolment = Enrolment(log, registry, clock, wait_s=gateway.append_wait_s, accounts=accounts)
        intake = Intake(gateway, clock, log, registry, enrolment)
        audit = Audit(log, clock, wait_s=gateway.append_wait_s)
        device_settings = DeviceSettings(log, registry, clock, wait_s=gateway.append_wait_s)
        labelling = Labelling(log, labels, clock, wait_s=gateway.append_wait_s)
        live = Hub(log, clock, registry.is_deleted, gateway.limits)
        return cls(
            settings, clock, log, store, registry, enrolment, intake, audit, device_settings, labelling, live, lag
        )


def services_of(connection: HTTPConnection) -> Services:
    """The services of the app that answers this request; also a FastAPI dependency."""
    found: Services = connection.app.state.services
    return found
