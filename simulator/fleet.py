"""A fleet of devices against a running gateway, with a ledger of all that it hands over.

Each device makes one message a second in real time and repeats it until it is answered for good; the gateway may be
killed and started again meanwhile.  Nothing is dropped: a full backlog makes its device wait, and what is still
unsent when the drain's deadline passes is marked so in the ledger.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from random import Random
from typing import Any

from edge.transports._http1 import Http1
from edge.transports.http import HttpTransport, new_client, trusting
from simulator.api import Api
from simulator.device import Device, Tally
from simulator.disturbances import Happening
from simulator.enrol import enrol
from simulator.ledger import Ledger
from simulator.mix import FleetConfig, Member, begin_ns, check, names
from telemetry.clock import Clock, SystemClock

CONNECTIONS_MAX = 200  # below what a gateway gives one address


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a running fleet; `pending` readings are made and not answered yet."""

    elapsed_s: float
    devices: int
    generated: int
    sent: int
    pending: int
    retries: int
    held: int
    alarm: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a fleet did; in readings unless named otherwise (see `Tally`)."""

    devices: int
    wall_s: float
    ledger: str
    tally: Tally = field(default_factory=Tally)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, flat."""
        tally = asdict(self.tally)
        del tally["held"]
        rate = round(self.tally.sent / self.wall_s) if self.wall_s else 0
        own = {"devices": self.devices, "wall_s": round(self.wall_s, 2), "readings_per_s": rate, "ledger": self.ledger}
        return tally | own


__all__ = ["FleetConfig", "Progress", "Result", "run"]

OnProgress = Callable[[Progress], None]
OnPlanned = Callable[[list[Happening]], None]


async def run(
    config: FleetConfig,
    *,
    on_progress: OnProgress | None = None,
    on_planned: OnPlanned | None = None,
    stop: asyncio.Event | None = None,
    progress_every_s: float = 0.25,
    clock: Clock | None = None,
) -> Result:
    """Run the fleet to its end, or until `stop` is set (which ends the making, then drains).

    `on_planned` is told at the start what will happen to which device.

    Raises `Misconfigured`, what enrolment raises (see `Api.get`), and `OSError` when the ledger cannot be written.
    """
    check(config)
    clock, stop, tally = clock or SystemClock(), stop or asyncio.Event(), Tally()
    async with AsyncExitStack() as stack:
        connections_max = min(config.devices, CONNECTIONS_MAX)
        api = await stack.enter_async_context(new_client(connections_max=connections_max, cafile=config.cafile))
        tokens = config.tokens or await enrol(Api(api, config.url, config.key), names(config))
        client = Http1(connections_max=connections_max, tls=trusting(config.cafile))
        stack.callback(client.close)
        ledger = await stack.enter_async_context(Ledger(config.ledger))
        begin_s = clock.monotonic_s()
        devices = [
            _device(Member(config, n), name, token, client=client, ledger=ledger, tally=tally, clock=clock)
            for n, (name, token) in enumerate(islice(tokens.items(), config.devices))
        ]
        if on_planned is not None:
            on_planned([happening for d in devices for happening in d.world.happenings(d.name)])
        runs = [d.run(config.seconds, stop.is_set) for d in devices]
        look = _Look(devices, tally, begin_s, clock, on_progress)
        try:
            await _until_sent(runs, _deadline(config, stop), look.again(progress_every_s))
        finally:
            for device in devices:
                device.leave()
            look.once()
    return Result(len(devices), clock.monotonic_s() - begin_s, str(config.ledger), tally)


def _device(
    member: Member, name: str, token: str, *, client: Http1, ledger: Ledger, tally: Tally, clock: Clock
) -> Device:
    config = member.config
    transport = HttpTransport(
        member.url, token, encoding=member.encoding, deadline_s=config.deadline_s, client=client, clock=clock
    )
    return Device(
        name=name,
        dialect=member.dialect,
        world=member.world(begin_ns(config, clock.now_ns())),
        pace=member.pace(clock.monotonic_s()),
        transport=transport,
        ledger=ledger,
        clock=clock,
        random=Random(member.seed),
        tally=tally,
        backlog=asyncio.Queue(config.backlog_max),
    )


async def _until_sent(
    runs: Iterable[Coroutine[Any, Any, None]], deadline: Coroutine[Any, Any, None], looks: Coroutine[Any, Any, None]
) -> None:
    """Until all devices have sent all, one of them fails, or the deadline is over; nothing runs on afterwards."""
    sending = asyncio.create_task(_together(runs), name="fleet")
    others = {asyncio.create_task(deadline), asyncio.create_task(looks)}
    try:
        await asyncio.wait({sending, *others}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, *others):
            task.cancel()
        ended = await asyncio.gather(sending, *others, return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
            raise error


async def _together(runs: Iterable[Coroutine[Any, Any, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for run in runs:
                tasks.create_task(run)
    except BaseExceptionGroup as e:
        raise _first(e) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _deadline(config: FleetConfig, stop: asyncio.Event) -> None:
    """Returns when the time is over (or `stop` was set) and the drain's time, too."""
    making_s = None if config.seconds is None else config.seconds / (config.speed or 1) + 1
    with suppress(TimeoutError):
        async with asyncio.timeout(making_s):
            await stop.wait()
    await asyncio.sleep(config.drain_s)


@dataclass(frozen=True, slots=True)
class _Look:
    """Tells whoever wants to know how far the fleet is."""

    devices: Sequence[Device]
    tally: Tally
    begin_s: float
    clock: Clock
    on_progress: OnProgress | None

    def once(self) -> None:
        if self.on_progress is None:
            return
        tally = self.tally
        pending = sum(sum(d.pending.values()) for d in self.devices)
        elapsed_s = self.clock.monotonic_s() - self.begin_s
        counts = (tally.generated, tally.sent, pending, tally.retries, tally.held, tally.alarm)
        self.on_progress(Progress(elapsed_s, len(self.devices), *counts))

    async def again(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self.once()
