"""The wall clock of a running edge is set back by three days: a new session, nothing lost, nothing out of order."""

import itertools
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from edge.settings import parse
from edge.timing.stamping import Stamper
from sensorline.edge_journal import LedgerJournal
from simulator.ledger import End
from simulator.ledger import read as read_ledger
from simulator.verify import verify
from telemetry.clock import SystemClock
from tests.edge.agent_world import document, running, write_token
from tests.journey.processes import assert_four_zeros
from tests.simulator.running_station import Running, station

BACK_NS = 3 * 86_400 * 10**9
NAME = "pi-1"


class SetBack(SystemClock):
    """The machine's, whose wall clock somebody may set."""

    by_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.by_ns


async def rows_of(there: Running, session: str) -> list[int]:
    """Times of a session's readings in the order of seq and index."""
    asked = {"device": NAME, "session": session, "sensor": "system", "format": "arrow"}
    async with httpx.AsyncClient(base_url=there.url, trust_env=False) as client:
        answer = await client.get("/v1/export", params=asked, headers={"authorization": f"Bearer {there.key}"})
    with pa.ipc.open_stream(answer.content) as stream:
        table = stream.read_all().sort_by([("seq", "ascending"), ("i", "ascending")])
    times: list[int] = table["t"].to_pylist()
    return times


async def test_a_clock_that_is_set_back_begins_a_session_and_loses_nothing(tmp_path: Path) -> None:
    clock, ledger = SetBack(), tmp_path / "edge.jsonl"
    stamper = Stamper(clock, step_s=0.5, boot="this one", is_synchronised=lambda: True)
    journal = LedgerJournal(ledger)
    async with station(tmp_path / "station", engine="embedded") as there:
        write_token(tmp_path, (await there.services.enrolment.enrol(NAME)).token)
        sources: dict[str, Any] = {"host": {"type": "system", "every_s": 0.1}}
        settings = parse(document(tmp_path, there.url, sources=sources), folder=tmp_path)
        fittings: dict[str, Any] = {
            "clock": clock,
            "stamper": stamper,
            "journal": journal,
            "on_locked": lambda: journal.begin(tmp_path / "data"),
            "on_closed": lambda: journal.leave(tmp_path / "data"),
        }
        async with running(settings, **fittings) as pi:
            first = pi.status["session"]
            await pi.until(lambda: acknowledged(pi.status) >= 15)
            clock.by_ns = -BACK_NS
            await pi.until(lambda: pi.status["session"] != first)
            before = acknowledged(pi.status)
            await pi.until(lambda: acknowledged(pi.status) >= before + 15)
            second = pi.status["session"]
        journal.close()
        assert pi.agent.last_status["spool"]["batches"] == 0
        report = await verify(ledger, there.url, there.key, wait_s=30)
        assert_four_zeros(report.to_dict())
        handed = list(read_ledger(ledger).values())
        assert {batch.id.session for batch in handed} == {first, second}
        assert {batch.end for batch in handed} == {End.ACKNOWLEDGED}
        assert report.stored == report.generated == pi.agent.last_status["sources"]["host"]["readings"]
        times = {session: await rows_of(there, session) for session in (first, second)}
    for session, found in times.items():
        assert all(a < b for a, b in itertools.pairwise(found)), f"{session} goes back"
    assert sum(map(len, times.values())) == report.stored
    assert abs(times[first][-1] - BACK_NS - times[second][0]) < 5 * 10**9


def acknowledged(status: dict[str, Any]) -> int:
    """Readings, over both lanes."""
    return sum(lane["acknowledged_readings"] for lane in status["lanes"].values())
