"""A backup put back: whole, into a log without batches, or not at all."""

import asyncio
from pathlib import Path

import pytest
import zstandard

from sensorline import restore
from telemetry import backup
from telemetry.errors import Conflict, Malformed, Misconfigured
from telemetry.logs import open_log
from telemetry.ports import AUDIT, BATCHES, DEVICES, Entry, Log, Record, Topic
from telemetry.settings import Settings

RECORDS = [
    *((DEVICES, Record(f"device/{n}", b"{}" if n % 3 else None, {"a": "b"})) for n in range(20)),
    (AUDIT, Record("who", b"\xff\x00", {})),
    *((BATCHES, Record(f"d{n % 7}", b"x" * n, {"seq": str(n)})) for n in range(1_300)),
]
COUNTS = {"devices": 20, "audit": 1, "batches": 1_300}


def packed(lines: list[bytes]) -> bytes:
    return zstandard.ZstdCompressor().compress(b"".join(lines))


def lines() -> list[bytes]:
    return [
        backup.head_line(1),
        *(backup.record_line(topic, record) for topic, record in RECORDS),
        backup.end_line(COUNTS, 0),
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "backup.zst"
    made.write_bytes(packed(lines()))
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


async def opened(settings: Settings) -> Log:
    log = open_log("sqlite", {}, settings.data_dir)
    await log.start()
    return log


async def entries(log: Log, topic: Topic) -> list[Entry]:
    reader = await log.follow(topic)
    found: list[Entry] = []
    while page := await reader.poll(records_max=500, bytes_max=1 << 24, wait_s=0):
        found += page
    return found


async def test_every_record_is_there_in_order(file: Path, settings: Settings) -> None:
    assert restore.check(file) == COUNTS
    assert await restore.restore(file, settings) == COUNTS
    log = await opened(settings)
    try:
        for topic in (DEVICES, AUDIT, BATCHES):
            found = [(e.key, e.value, dict(e.headers)) for e in await entries(log, topic)]
            assert found == [(r.key, r.value, dict(r.headers)) for t, r in RECORDS if t is topic]
    finally:
        await log.close()


async def test_a_log_that_had_batches_takes_none(file: Path, settings: Settings) -> None:
    await restore.restore(file, settings)
    with pytest.raises(Conflict, match="--data-dir"):
        await restore.restore(file, settings)


async def test_a_log_that_is_in_use_takes_none(file: Path, settings: Settings) -> None:
    log = await opened(settings)
    try:
        with pytest.raises(Misconfigured, match="in use"):
            await restore.restore(file, settings)
    finally:
        await log.close()


@pytest.mark.parametrize("kept", [0, 1, 20, 0.5, 0.99, -1])
def test_one_that_was_cut_off_writes_nothing(file: Path, settings: Settings, kept: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: round(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(Malformed):
        asyncio.run(restore.restore(file, settings))
    assert not settings.data_dir.exists()


@pytest.mark.parametrize("at", [0, 0.3, 0.6, 0.9])
def test_one_that_was_damaged_writes_nothing(file: Path, settings: Settings, at: float) -> None:
    content = bytearray(file.read_bytes())
    content[round(len(content) * at)] ^= 0x10
    file.write_bytes(content)
    with pytest.raises(Malformed):
        asyncio.run(restore.restore(file, settings))
    assert not settings.data_dir.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"what is this",
        packed([b'{"sensorline_backup": 99}\n']),
        packed(lines()[:-1]),
        packed(lines()[:5] + lines()[6:]),
        packed([*lines(), lines()[1]]),
        packed([lines()[0], b'{"topic":"nowhere","key":"k","headers":{},"value":""}\n', backup.end_line({}, 0)]),
    ],
    ids=["no zstd", "another version", "no end", "one too few", "more after the end", "an unknown topic"],
)
def test_what_is_no_backup_writes_nothing(file: Path, settings: Settings, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(Malformed):
        asyncio.run(restore.restore(file, settings))
    assert not settings.data_dir.exists()


async def test_memory_is_no_place_for_it(file: Path) -> None:
    with pytest.raises(Misconfigured):
        await restore.restore(file, Settings(log="memory"))
