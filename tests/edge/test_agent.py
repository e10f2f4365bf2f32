"""The agent against a real gateway: what it delivers, and what it does about each kind of answer."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge import status_socket
from edge.settings import EdgeSettings
from edge.sources import Context, Outlet
from edge.timing.stamping import Stamper
from telemetry.batch import Batch
from telemetry.beside import SENT, SETTINGS, SYNCHRONISED
from telemetry.clock import SystemClock
from telemetry.errors import Misconfigured
from tests.edge.agent_world import (
    NAME,
    called,
    pressures,
    received,
    running,
    settings_of,
    site,
    sources_of_tests,
    ticking,
    write_token,
)
from tests.gateway.gateway_world import gateway, served, stored


def times(batches: list[Batch]) -> list[int]:
    return [t for batch in batches for series in batch.series for t in series.t.tolist()]


async def test_what_sources_read_is_in_the_log_and_leaves_the_spool(tmp_path: Path) -> None:
    async with site(tmp_path) as (world, url):
        settings = settings_of(tmp_path, url, sources=called("a", "b"))
        async with running(settings, extras={"a": ticking(), "b": ticking(n=3)}) as run:
            await run.until(lambda: run.status["lanes"]["live"]["acknowledged_readings"] >= 40)
            status = run.status
            entry = (await stored(world.log))[0]
        batches = await received(world)
        ended = run.agent.last_status
    assert status["transport"] == "http"
    assert status["last_receipt"]["session"] == status["session"]
    assert status["alarm"] == ""
    assert {b.session for b in batches} == {status["session"]}
    assert [b.seq for b in batches] == list(range(len(batches)))
    assert ended["spool"]["batches"] == 0  # the last readings went out before the end
    assert sum(b.readings for b in batches) == sum(s["readings"] for s in ended["sources"].values())
    assert entry.headers[SETTINGS] == "0"
    assert entry.headers[SYNCHRONISED] in ("0", "1")
    assert abs(int(entry.headers[SENT]) - entry.appended_ns) < 5e9


async def test_a_gateway_that_is_away_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    async with gateway() as world, gateway_port() as (port, _):
        write_token(tmp_path, await world.device(NAME))
        made = list(range(200))

        async def run_out(outlet: Outlet, context: Context, config: Any) -> None:
            for k in made:
                await outlet.put([pressures(k + 1)])
                await asyncio.sleep(0.001)

        settings = settings_of(tmp_path, f"http://127.0.0.1:{port}", sources=called("a"))
        with sources_of_tests():
            async with running(settings, extras={"a": run_out}) as run:
                await run.until(lambda: run.source("a")["state"] == "finished")
                await run.until(lambda: run.status["spool"]["readings"] == 200)
                assert run.status["last_error"]["text"]
                object.__setattr__(world.services.settings.gateway, "port", port)
                async with served(world):
                    run.agent._way.poke()
                    await run.until(lambda: run.status["spool"]["batches"] == 0)
                    assert sorted(times(await received(world))) == [k + 1 for k in made]


@asynccontextmanager
async def gateway_port() -> AsyncIterator[tuple[int, None]]:
    """A port that nobody listens on."""
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    yield port, None


async def test_a_login_page_frees_nothing(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\nconnection: close\r\n\r\n<html>log in</html>\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(portal, "127.0.0.1", 0)
    write_token(tmp_path, "sl_portal")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with sources_of_tests():
        settings = settings_of(tmp_path, url, sources=called("a"))
        async with running(settings, extras={"a": ticking()}) as run:
            await run.until(lambda: len(asked) >= 3)
            assert "captive portal" in run.status["last_error"]["text"]
            assert run.status["last_receipt"] is None
            kept = run.status["spool"]["readings"]
            assert kept
    server.close()
    assert run.agent.last_status["spool"]["readings"] >= kept


async def test_a_revoked_token_holds_everything_until_there_is_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path) as (world, url):
        await world.services.enrolment.revoke(NAME)
        await asyncio.sleep(0)
        async with running(settings_of(tmp_path, url, sources=called("a")), extras={"a": ticking()}) as run:
            await run.until(lambda: run.status["alarm"])
            assert run.status["alarm"].startswith("401 unauthorised")
            held = run.status["spool"]["readings"]
            write_token(tmp_path, await new_token(world))
            await run.until(lambda: run.status["lanes"]["live"]["acknowledged_readings"] > held)
            assert run.status["alarm"] == ""
            assert run.status["spool"]["aside_batches"] == 0
    assert len([r for r in caplog.records if "is held" in r.message]) == 1
    assert all(token not in caplog.text for token in world.tokens.values())


async def new_token(world: Any) -> str:
    issued = await world.services.enrolment.rotate(NAME, overlap_s=60)
    return str(issued.token)


async def test_what_is_refused_for_good_is_set_aside_and_can_be_sent_again(tmp_path: Path) -> None:
    async with site(tmp_path, limits={"readings_max": 50}) as (world, url):

        async def too_many_at_once(outlet: Outlet, context: Context, config: Any) -> None:
            await outlet.put([pressures(1, 51)])
            await asyncio.sleep(0.2)
            await outlet.put([pressures(10**12, 7)])

        settings = settings_of(tmp_path, url, sources=called("a"))
        async with running(settings, extras={"a": too_many_at_once}) as run:
            await run.until(lambda: run.status["lanes"]["live"]["acknowledged_readings"] == 7)
            assert run.status["spool"]["aside_batches"] == 1
            assert "set aside: 4" in run.status["last_error"]["text"]
            listed = await asyncio.to_thread(status_socket.ask, run.agent.folder, "aside")
            assert [(b["seq"], b["readings"]) for b in listed["aside"]] == [(0, 51)]
            assert "50" in listed["aside"][0]["reason"]
            object.__setattr__(world.services.intake.limits, "readings_max", 60)
            assert await asyncio.to_thread(status_socket.ask, run.agent.folder, "retry_aside") == {"retried": 1}
            await run.until(lambda: sum(lane["acknowledged"] for lane in run.status["lanes"].values()) == 2)
            assert run.status["spool"]["aside_batches"] == 0


async def test_a_cursor_resumes_where_the_spool_has_it_and_every_row_comes_once(tmp_path: Path) -> None:
    rows = 400
    broken = itertools.count()

    async def table(outlet: Outlet, context: Context, config: Any) -> None:
        at = int(context.cursor or 0)
        while at < rows:
            n = min(7, rows - at)
            await outlet.put([pressures(at * 10**6 + 1, n)], cursor=str(at + n))
            at += n
            await asyncio.sleep(0.002)
            if next(broken) == 5:
                raise OSError("the server went away")

    async with site(tmp_path) as (world, url):
        settings = settings_of(tmp_path, url, sources=called("a"))
        for stop_after in (3, 100, rows):
            async with running(settings, extras={"a": table}) as run:
                await run.until(lambda n=stop_after: int(run.agent.spool.cursor("a") or 0) >= n)
        batches = await received(world)
    assert Counter(times(batches)) == Counter(k * 10**6 + 1 for k in range(rows))
    assert len({b.session for b in batches}) >= 2


async def test_a_source_that_is_opened_again_goes_on_after_what_it_handed_over(tmp_path: Path) -> None:
    opened: list[str | None] = []

    async def table(outlet: Outlet, context: Context, config: Any) -> None:
        opened.append(context.cursor)
        at = int(context.cursor or 0)
        await outlet.put([pressures(at * 10**6 + 1, 5)], cursor=str(at + 5))
        if len(opened) == 1:
            raise OSError("the server went away")

    async with site(tmp_path) as (world, url):
        late = {"commit_period_s": 30.0}  # the spool's own cursor is far behind by then
        async with running(settings_of(tmp_path, url, sources=called("a"), spool=late), extras={"a": table}) as run:
            await run.until(lambda: run.source("a")["state"] == "finished")
            assert run.agent.spool.cursor("a") is None
        batches = await received(world)
    assert opened == [None, "5"]
    assert sorted(times(batches)) == [k * 10**6 + 1 for k in range(10)]


async def test_live_data_goes_first_after_an_outage(tmp_path: Path) -> None:
    async with gateway() as world, gateway_port() as (port, _):
        write_token(tmp_path, await world.device(NAME))
        object.__setattr__(world.services.settings.gateway, "port", port)
        lanes = {"outage_s": 1.0, "backlog_bytes_per_s": 4_000}
        settings = settings_of(tmp_path, f"http://127.0.0.1:{port}", sources=called("a"), lanes=lanes)
        with sources_of_tests():
            async with running(settings, extras={"a": ticking(0.01, n=10)}) as run:
                first = run.status["session"]
                await run.until(lambda: run.status["spool"]["live_batches"] > 25)
                async with served(world):
                    run.agent._way.poke()
                    await run.until(lambda: run.status["session"] != first)
                    second = run.status["session"]
                    await run.until(lambda: run.status["lanes"]["live"]["acknowledged"] >= 12)
                    await run.until(lambda: run.status["lanes"]["backlog"]["acknowledged"] >= 2)
                    batches = await received(world)
                    assert run.status["session"] == second  # once
    order = [b.session for b in batches]
    assert order[0] == first  # the one that ended the outage
    old = [b.seq for b in batches if b.session == first]
    new = [b.seq for b in batches if b.session == second]
    assert old == sorted(old)
    assert new == list(range(len(new)))
    assert len(new) >= 11
    assert len(old) < 20  # the backlog follows at its own rate


async def test_until_the_clock_is_set_readings_wait_and_are_put_right(tmp_path: Path) -> None:
    shift_ns = 3 * 86_400 * 10**9
    is_set: list[bool] = []

    class Wall(SystemClock):
        """A wall clock that is three days behind until a time service sets it."""

        def now_ns(self) -> int:
            return super().now_ns() - (0 if is_set else shift_ns)

    clock = Wall()
    stamper = Stamper(clock, step_s=0.5, boot="b", is_synchronised=lambda: bool(is_set))
    async with site(tmp_path) as (world, url):
        settings = settings_of(
            tmp_path, url, sources=called("a"), clock={"unsynchronised_wait_s": time.monotonic() + 60.0}
        )
        async with running(settings, clock=clock, stamper=stamper, extras={"a": ticking()}) as run:
            await run.until(lambda: run.status["spool"]["readings"] >= 20)
            assert run.status["clock"]["holding"]
            assert run.status["lanes"]["live"]["acknowledged"] == 0
            is_set.append(True)
            await run.until(lambda: run.status["lanes"]["live"]["acknowledged_readings"] >= 40)
            assert run.status["clock"]["synchronised"]
            found = times(await received(world))
    assert max(found) - min(found) < 60e9  # all of them on the right day
    assert abs(max(found) - SystemClock().now_ns()) < 60e9
    assert found == sorted(found)


async def test_a_second_agent_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, url):
        settings = settings_of(tmp_path, url)
        async with running(settings):
            with pytest.raises(Misconfigured, match=r"another agent \(process \d+\)"):
                async with running(settings):
                    pass
        async with running(settings):  # and afterwards there is room
            pass


@pytest.mark.parametrize("wrong", ["transport", "token", "adapter"])
async def test_what_cannot_work_is_said_at_the_start(tmp_path: Path, wrong: str) -> None:
    write_token(tmp_path, "sl_x")
    settings: EdgeSettings = settings_of(tmp_path, "http://127.0.0.1:1")
    if wrong == "transport":
        settings = settings_of(tmp_path, "http://127.0.0.1:1", transport="pigeon")
    elif wrong == "adapter":
        settings = settings_of(tmp_path, "http://example.org")
    else:
        (tmp_path / "token").chmod(0o644)
    with pytest.raises(Misconfigured, match={"transport": "pigeon", "token": "chmod", "adapter": "https"}[wrong]):
        async with running(settings):
            pass
