"""What goes wrong, how often, and the trace of it: the only source of randomness in the simulated world."""

from dataclasses import dataclass, field
from random import Random

from telemetry.clock import Clock

RATES = {
    # the way to the gateway
    "request lost": 0.05,
    "reply lost": 0.05,
    "sent twice": 0.20,
    "token refused": 0.002,
    "cloned": 0.02,  # the same id again with other content
    "gateway crash": 0.02,
    "out of range": 0.02,  # a reading that the gateway must refuse
    # the edge
    "power cut": 0.10,  # in a while of a Pi's life
    # the log
    "append refused": 0.05,
    "append reply lost": 0.05,
    "append hangs": 0.01,
    "log full": 0.01,
    "poison": 0.01,
    "poll refused": 0.01,
    "commit refused": 0.05,
    "commit reply lost": 0.05,
    "rebalance": 0.03,
    # the store
    "store refuses": 0.08,
    "store reply lost": 0.05,
    "store keeps a part": 0.05,
    # the consumers
    "crash before commit": 0.03,
    "crash after commit": 0.03,
    "crash before write": 0.03,
    "crash after write": 0.03,
}
FACTORS = (0.0, 1.0, 1.0, 3.0)  # a world without a fault shows what hides behind it


class Violation(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, what: object) -> None:
    """Raise `Violation` unless it holds."""
    if not holds:
        raise Violation(what)


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


@dataclass
class Chance:
    """`strikes` decides and writes down; once `calm`, nothing goes wrong any more."""

    random: Random
    clock: Clock
    trace: list[str] = field(default_factory=list)
    calm: bool = False

    def __post_init__(self) -> None:
        self._rates = {fault: rate * self.random.choice(FACTORS) for fault, rate in RATES.items()}

    def strikes(self, fault: str, where: str = "") -> bool:
        """Whether this fault happens here and now."""
        if self.calm or self.random.random() >= self._rates[fault]:
            return False
        self.note(f"{fault} {where}")
        return True

    def note(self, what: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{self.clock.monotonic_s():.6f} {what}")

    def delay_s(self, longest_s: float) -> float:
        """Up to this many seconds."""
        return self.random.uniform(0, longest_s)
