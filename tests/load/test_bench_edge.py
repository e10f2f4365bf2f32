"""The edge's bench runs, against a real station, and its figures add up.  How good they are is not tested here."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "load" / "bench_edge.py"
TARGETS = {"core": ("core_percent_max", 5.0), "rss": ("rss_peak_mib", 60.0)}


async def test_the_figures_add_up(tmp_path: Path) -> None:
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BENCH), "--seconds", "6", "--backlog-hours", "0.1", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    out, err = await asyncio.wait_for(ran.communicate(), 110)
    assert ran.returncode in (0, 1), err.decode()[-2000:]
    (line,) = out.splitlines()
    found = json.loads(line)
    backlog, states = found["backlog"], found["states"]
    assert backlog["batches"] == 360
    assert backlog["readings"] == 360 * 300
    assert backlog["spool_bytes_a_reading"] == pytest.approx(backlog["file_bytes"] / backlog["readings"], abs=0.01)
    hours = 2**30 / backlog["spool_bytes_a_reading"] / 300 / 3600
    assert backlog["hours_in_1_gib_at_300_per_s"] == pytest.approx(hours, rel=0.01)

    assert 270 < found["readings_per_s"] < 330, "three sensors at 100 Hz"
    for state in states.values():
        windows = sorted(state["core_percent_windows"])
        assert state["core_percent"] == windows[1]
        assert state["rss_anonymous_mib"] < state["rss_mib"] <= state["rss_peak_mib"]
        assert state["wakeups_per_s"] > 1
        assert 270 < state["readings"] / state["seconds"] < 330, "whatever the gateway does"
    assert states["online"]["live_sent"] > 0
    assert states["online"]["backlog_sent"] == 0
    drained = states["draining"]["backlog_sent"]
    assert 0 < drained <= backlog["readings"]
    assert found["drain"]["readings_per_s"] == pytest.approx(drained / states["draining"]["seconds"], rel=0.01)
    assert states["offline"]["live_sent"] == states["offline"]["backlog_sent"] == 0
    assert 0 < found["freshness_s"]["p50"] <= found["freshness_s"]["p99"] < 20

    assert found["rss_peak_mib"] == max(state["rss_peak_mib"] for state in states.values())
    assert found["core_percent_max"] == max(states["online"]["core_percent"], states["offline"]["core_percent"])
    assert found["held"] == {name: found[figure] < limit for name, (figure, limit) in TARGETS.items()}
    assert ran.returncode == (0 if all(found["held"].values()) else 1)
