"""The mix of a fleet: which device speaks what, how it moves, when its seconds begin.  Pure, from the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from simulator.behaviours import BEHAVIOURS
from simulator.device import Pace
from simulator.disturbances import KINDS, Disturbance, drawn
from simulator.speak import NATIVE_PATH, OWNTRACKS_PATH, SENSOR_LOGGER_PATH
from simulator.world import SECOND_NS, World
from telemetry.errors import Misconfigured

DIALECTS = ("native", "sensor_logger")  # of "both"
_ENDPOINT = {
    "native": (NATIVE_PATH, "zstd"),
    "sensor_logger": (SENSOR_LOGGER_PATH, "identity"),
    "owntracks": (OWNTRACKS_PATH, "identity"),
}


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """What runs where.  `tokens` (device -> token) or an operator's `key` to enrol with must be given.

    `seconds` of device time, None = until stopped; `speed` 1 = real time, 0 = as fast as possible; `backlog_max`
    messages a device; `drain_s` to send the rest once the time is over; `cafile` for a gateway with its own CA.
    """

    url: str
    ledger: Path
    devices: int = 20
    seconds: int | None = 20
    speed: float = 1.0
    seed: int = 0
    dialect: str = "both"
    behaviours: tuple[str, ...] = ("walk", "drive", "rest")
    tokens: Mapping[str, str] | None = None
    key: str | None = None
    prefix: str = "sim"
    backlog_max: int = 30
    drain_s: float = 60.0
    deadline_s: float = 30.0
    cafile: str | None = None
    disturb: tuple[str, ...] = ()  # kinds to draw from, `disturb_a_minute` a device
    disturb_a_minute: float = 1.0
    planned: Mapping[int, tuple[Disturbance, ...]] = field(default_factory=dict)  # besides, by the device's number


@dataclass(frozen=True, slots=True)
class Member:
    """The `n`-th device of a fleet."""

    config: FleetConfig
    n: int

    @property
    def dialect(self) -> str:
        """ "native", "sensor_logger" or "owntracks"."""
        return self.config.dialect if self.config.dialect != "both" else DIALECTS[self.n % 2]

    @property
    def url(self) -> str:
        """Where it sends to."""
        return self.config.url.rstrip("/") + _ENDPOINT[self.dialect][0]

    @property
    def encoding(self) -> str:
        """The Content-Encoding of its bodies."""
        return _ENDPOINT[self.dialect][1]

    @property
    def seed(self) -> int:
        """Its own."""
        return self.config.seed * 1_000_003 + self.n

    @property
    def phase_s(self) -> float:
        """Where in a second its seconds begin: real fleets are not in step."""
        return Random(self.seed).random()

    def world(self, begin_ns: int) -> World:
        """How it moves; each behaviour comes in each dialect."""
        behaviours = self.config.behaviours
        begin_ns += round(self.phase_s * SECOND_NS)
        return World(self.seed, behaviours[self.n // 2 % len(behaviours)], begin_ns, self.disturbances())

    def disturbances(self) -> list[Disturbance]:
        """What happens to it, by time; without an end, within the first day."""
        config = self.config
        by_chance = drawn(self.seed, config.disturb, config.disturb_a_minute, config.seconds or 86_400)
        return sorted((*config.planned.get(self.n, ()), *by_chance), key=lambda d: d.at_s)

    def pace(self, begin_s: float) -> Pace:
        """When its messages are due."""
        speed = self.config.speed
        return Pace(begin_s + self.phase_s / speed if speed else begin_s, speed)


def begin_ns(config: FleetConfig, now_ns: int) -> int:
    """Event time begins now, or so long ago that a fleet faster than time does not end in the future."""
    return now_ns - (0 if config.speed == 1 else (config.seconds or 0) + 1) * SECOND_NS


def names(config: FleetConfig) -> list[str]:
    """Of devices that are enrolled for this fleet."""
    return [f"{config.prefix}-{n:04d}" for n in range(config.devices)]


def check(config: FleetConfig) -> None:
    """Raises `Misconfigured` with the mend."""
    unknown = set(config.behaviours) - set(BEHAVIOURS)
    if unknown or not config.behaviours:
        raise Misconfigured(f"behaviours are {', '.join(BEHAVIOURS)}, not {', '.join(sorted(unknown)) or 'none'}")
    if config.dialect not in (*_ENDPOINT, "both"):
        raise Misconfigured(f"dialect is {', '.join(_ENDPOINT)} or both, not {config.dialect!r}")
    if strange := sorted(set(config.disturb) - set(KINDS)):
        raise Misconfigured(f"disturbances are {', '.join(KINDS)}, not {', '.join(strange)}")
    if config.devices < 1 or config.backlog_max < 1 or (config.seconds is not None and config.seconds < 1):
        raise Misconfigured("devices, backlog and seconds are at least 1")
    if not 0 <= config.speed <= 1000 or (config.seconds is None and config.speed != 1):
        raise Misconfigured("speed is 0 (as fast as possible) to 1000, and 1 when there is no end")
    if config.tokens is None and not config.key:
        raise Misconfigured("a fleet needs tokens, or an operator's key to enrol its devices with")
    if config.tokens is not None and len(config.tokens) < config.devices:
        raise Misconfigured(f"there are {len(config.tokens)} tokens for {config.devices} devices")
