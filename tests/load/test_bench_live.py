"""The live stream's bench runs against a real station, and misses no event.  How quick it is is not tested here."""

import asyncio
import json
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "load" / "bench_live.py"


async def test_the_figures_add_up(tmp_path: Path) -> None:
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BENCH), "--seconds", "3", "--warm-up", "1", "--phones", "4", "--charts", "2"),
        *("--detect", "off"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    out, err = await asyncio.wait_for(ran.communicate(), 110)
    assert ran.returncode in (0, 1), err.decode()[-2000:]
    (line,) = out.splitlines()
    found = json.loads(line)
    assert (found["phones"], found["charts"], found["detection"]) == (4, 2, "off")
    assert found["readings"]["events"] == 2 * 3 * 3, "a chart's three sensors, a batch a second"
    assert 10 <= found["pulse"]["events"] <= 12, "a batch a second of each phone, two of them told as one now and then"
    assert found["post_acknowledged"]["events"] == 4 * 3
    assert found["missing_readings_events"] == found["missing_pulse_batches"] == found["told_lost"] == 0
    for name in ("readings", "pulse", "post_acknowledged"):
        assert 0 < found[name]["p50_ms"] <= found[name]["p95_ms"] <= found[name]["p99_ms"] <= found[name]["max_ms"]
