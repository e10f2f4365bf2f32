"""Live streams over real Kafka: a reader that goes on at another gateway hears all, once; and it hears it soon."""

import contextlib
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import orjson
import pytest

from telemetry.logs import kafka
from tests.gateway.gateway_world import T0, World, batch, eventually, gateway
from tests.gateway.live.live_world import Heard, Listening, listening

pytestmark = pytest.mark.real

DEVICES = [f"d{n}" for n in range(6)]
KINDS = "readings,pulse"


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """A broker that runs already, when the environment names one, or the suite's own."""
    named = os.environ.get("SENSORLINE_TEST_BOOTSTRAP")
    return named or str(request.getfixturevalue("servers").bootstrap)


@contextlib.asynccontextmanager
async def replicas(bootstrap: str) -> AsyncIterator[tuple[World, World]]:
    """Two gateways that share nothing but the broker."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    async with contextlib.AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            log = kafka.KafkaLog(kafka.Config(bootstrap=bootstrap, prefix=prefix, partitions=3))
            stack.push_async_callback(log.close)
            worlds.append(await stack.enter_async_context(gateway(log=log)))
        yield worlds[0], worlds[1]


async def post(world: World, seq: int, *devices: str) -> None:
    """A batch of each device."""
    for device in devices:
        answer = await world.post("/v1/batches", batch(device, seq), world.tokens[device])
        assert answer.status_code == 200


async def enrolled(one: World, two: World) -> str:
    """All devices are known to both; a viewer's key that both know."""
    for device in DEVICES:
        two.tokens[device] = await one.device(device)
    key = await one.services.enrolment.add_operator("watcher", "viewer")
    await eventually(lambda: two.services.registry.operator(key) is not None, within_s=20)
    return key


async def until(heard: Listening, seq: int, *devices: str) -> list[Heard]:
    """Events up to where each of these devices' readings of that seq came."""
    left, found = set(devices), []
    while left:
        found.append(await heard.event(within_s=20))
        if found[-1].name == "readings" and found[-1].data["seq"] == seq:
            left.discard(found[-1].data["device"])
    return found


async def test_a_reader_goes_on_at_another_gateway(bootstrap: str) -> None:
    async with replicas(bootstrap) as (one, two):
        key = await enrolled(one, two)
        told: list[Heard] = []
        last = None
        for turn, world in enumerate((one, two, one, two)):
            query = {"kinds": KINDS, "device": DEVICES} | ({} if last is None else {"after": last})
            async with listening(world.app, key, **query) as heard:
                assert (await heard.event(within_s=20)).name == "hello"
                await post(one, 3 * turn, *DEVICES)
                await post(two, 3 * turn + 1, *DEVICES)
                told += await until(heard, 3 * turn + 1, *DEVICES[:3])  # broken off somewhere
            last = told[-1].id
            await post(one, 3 * turn + 2, *DEVICES)  # while nobody reads
        async with listening(two.app, key, kinds=KINDS, device=DEVICES, after=last) as heard:
            told += await until(heard, 11, *DEVICES)
            pulses = _pulses(told)
            while any(pulses[device] < 12 for device in DEVICES):
                told.append(await heard.event(within_s=20))
                pulses = _pulses(told)
        assert [e.name for e in told if e.name not in {"readings", "pulse", "hello"}] == []
        readings = [(e.data["device"], e.data["seq"]) for e in told if e.name == "readings"]
        assert sorted(readings) == sorted((device, seq) for device in DEVICES for seq in range(12))
        assert pulses == Counter(dict.fromkeys(DEVICES, 12))


def _pulses(told: list[Heard]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for event in told:
        if event.name == "pulse":
            counted[event.data["device"]] += event.data["batches"]
    return counted


async def test_few_records_come_soon_too(bootstrap: str) -> None:
    """Of a topic on which little is written: no fetch that waits for one partition holds the others' back."""
    async with replicas(bootstrap) as (one, two):
        key = await enrolled(one, two)
        late_s: list[float] = []
        async with listening(one.app, key, kinds="readings", device=DEVICES) as heard:
            await heard.event("hello", within_s=20)
            await post(one, 0, *DEVICES)
            await until(heard, 0, *DEVICES)
            for seq in range(1, 6):
                for device in DEVICES:
                    began_s = time.monotonic()
                    await post(two, seq, device)
                    await until(heard, seq, device)
                    late_s.append(time.monotonic() - began_s)
        late_s.sort()
        assert late_s[len(late_s) // 2] < 0.25, late_s


async def test_a_pulse_has_the_position_from_bytes_that_nobody_had_decoded(bootstrap: str) -> None:
    async with replicas(bootstrap) as (one, two):
        key = await enrolled(one, two)
        async with listening(one.app, key, kinds="pulse") as heard:
            await heard.event("hello", within_s=20)
            series = {"sensor": "location", "t0": T0, "dt": [0], "values": {"latitude": [48.1], "longitude": [11.5]}}
            body = {"v": 1, "device": "d0", "session": "s", "seq": 0, "series": [series]}
            await two.post("/v1/batches", orjson.dumps(body), two.tokens["d0"])
            pulse = await heard.event("pulse", within_s=20)
            assert pulse.data["location"] == {"t": T0 / 1e6, "latitude": 48.1, "longitude": 11.5}
