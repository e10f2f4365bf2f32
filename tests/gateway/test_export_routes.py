"""An export holds every reading once, is streamed, and ends at once when its device is deleted."""

import csv
import io
import json
from typing import get_args

import gpxpy
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.export import formats, load_format
from gateway.routes.export import FormatName
from telemetry.errors import StoreUnavailable
from telemetry.ports import Span
from tests.gateway.gateway_world import T0, World, batch, bearer, gateway
from tests.gateway.read_world import Person, reading_gateway, settle

SECOND = 10**9


def track(session: str, n: int) -> bytes:
    """A native batch with n places and n accelerations."""
    times = {"t0": T0, "dt": [k * SECOND for k in range(n)]}
    places = {"latitude": [51.5 + k * 1e-6 for k in range(n)], "longitude": [-0.1] * n, "speed": [1.2] * n}
    series = [
        {"sensor": "location", **times, "values": places},
        {"sensor": "acceleration", **times, "values": {"x": [k + 0.1 for k in range(n)]}},
    ]
    return orjson.dumps({"v": 1, "device": "pi", "session": session, "seq": 3, "series": series})


async def fill(world: World) -> None:
    token = await world.device("pi")
    for body in (track("a", 4), track("b", 2), batch("pi", 2**53 + 1, session="c")):
        assert (await world.post("/v1/batches", body, token)).status_code == 200
    await settle(world)


async def test_the_formats_offered_are_the_formats_there_are() -> None:
    assert sorted(get_args(FormatName)) == formats()


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_one_table_with_every_reading_once(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world)
        answers = {
            name: await viewer.get("/v1/export", device="pi", format=name) for name in ("csv", "parquet", "arrow")
        }
        for name, answer in answers.items():
            form = load_format(name)
            assert answer.headers["content-type"] == form.media_type
            assert answer.headers["content-disposition"] == f'attachment; filename="sensorline_pi.{form.suffix}"'
        table = pa.ipc.open_stream(answers["arrow"].content).read_all()
        assert table.column_names[:6] == ["sensor", "session", "seq", "series", "i", "t"]
        keys = list(zip(*(table[c].to_pylist() for c in ("sensor", "session", "seq", "series", "i")), strict=True))
        assert len(set(keys)) == len(keys) == 14
        assert keys == sorted(keys)
        assert keys[6] == ("acceleration", "c", 2**53 + 1, 0, 0)
        assert pq.read_table(io.BytesIO(answers["parquet"].content)).equals(table)
        lines = list(csv.DictReader(io.StringIO(answers["csv"].text)))
        assert [int(line["seq"]) for line in lines] == table["seq"].to_pylist()
        assert [np.float32(line["x"]) if line["x"] else None for line in lines] == table["x"].to_pylist()


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_session_sensor_and_times_narrow_it(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world)
        asked = {"session": "a", "sensor": "acceleration", "from_": T0 + SECOND, "to": "2023-11-14T22:13:23Z"}
        answer = await viewer.get("/v1/export", device="pi", format="csv", **asked)
        assert 'filename="sensorline_pi_a_acceleration.csv"' in answer.headers["content-disposition"]
        lines = list(csv.DictReader(io.StringIO(answer.text)))
        assert [line["x"] for line in lines] == ["1.1", "2.1"]
        assert "latitude" not in lines[0]


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_tracks(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await fill(world)
        gpx = gpxpy.parse((await viewer.get("/v1/export", device="pi", format="gpx")).text)
        assert [len(s.points) for s in gpx.tracks[0].segments] == [4, 2]
        collection = json.loads((await viewer.get("/v1/export", device="pi", format="geojson", session="a")).text)
        assert collection["features"][0]["geometry"]["coordinates"][1] == [-0.1, 51.500001]
        refused = await viewer.get("/v1/export", device="pi", format="gpx", sensor="acceleration")
        assert (refused.status_code, refused.json()["path"]) == (422, "sensor")


async def test_a_device_without_readings_gives_a_table_without_rows() -> None:
    async with reading_gateway() as (world, viewer):
        await world.device("pi")
        answer = await viewer.get("/v1/export", device="pi", format="csv")
        assert answer.text == '"sensor","session","seq","series","i","t","extra"\n'


async def test_a_store_that_fails_at_once_is_a_503_and_later_cuts_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with reading_gateway() as (world, viewer):
        await fill(world)
        whole = world.services.store.export

        def failing(after: int):  # type: ignore[no-untyped-def]
            async def export(*args: object, **named: object):  # type: ignore[no-untyped-def]
                count = 0
                async for piece in whole(*args, **named):  # type: ignore[arg-type]
                    if count == after:
                        raise StoreUnavailable("gone")
                    count += 1
                    yield piece
                if count == after:
                    raise StoreUnavailable("gone")

            return export

        monkeypatch.setattr(world.services.store, "export", failing(0))
        assert (await viewer.get("/v1/export", device="pi", format="csv")).status_code == 503
        monkeypatch.setattr(world.services.store, "export", failing(1))
        with pytest.raises(RuntimeError, match="already started"):  # what the server turns into a reset
            await Person(world, viewer.key, raise_errors=True).get("/v1/export", device="pi", format="csv")


async def test_a_deletion_ends_an_export_that_is_on_its_way() -> None:
    async with reading_gateway() as (world, viewer):
        await fill(world)
        seen = await stream(world, bearer(viewer.key), after_first_chunk=lambda: world.services.enrolment.delete("pi"))
        assert 0 < len(seen.chunks) < 4
        assert seen.failed


@pytest.mark.parametrize("by", ["key", "session"])
async def test_an_end_of_access_ends_an_export_that_is_on_its_way(by: str) -> None:
    async with reading_gateway() as (world, _):
        await fill(world)
        enrolment = world.services.enrolment
        await enrolment.add_operator("boss", "admin")
        if by == "key":
            headers = bearer(await enrolment.add_operator("mole", "viewer"))
            seen = await stream(world, headers, after_first_chunk=lambda: enrolment.remove_operator("mole"))
        else:
            headers = await world.person("mole")
            seen = await stream(world, headers, after_first_chunk=lambda: enrolment.remove_person("mole"))
        assert 0 < len(seen.chunks) < 4
        assert seen.failed


class Seen:
    """What a client got of a stream."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.failed = False


async def stream(world: World, headers: dict[str, str], *, after_first_chunk):  # type: ignore[no-untyped-def]
    """An export chunk by chunk, as the server sees it, with something done after the first."""
    seen = Seen()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            seen.chunks.append(message["body"])  # type: ignore[arg-type]
            if len(seen.chunks) == 1:
                await after_first_chunk()

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
        "path": "/v1/export", "raw_path": b"/v1/export", "query_string": b"device=pi&format=arrow",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("x", 80),
        "scheme": "http", "root_path": "",
    }  # fmt: skip
    try:
        await world.app(scope, receive, send)  # type: ignore[arg-type]
    except RuntimeError:  # the response had begun: the server resets the connection
        seen.failed = True
    return seen


async def test_memory_is_bounded_by_the_piece_and_not_by_the_export() -> None:
    """Chunks leave one by one: none is larger than a piece, however many there are."""
    async with gateway() as world:
        key = await world.services.enrolment.add_operator("v", "viewer")
        await fill(world)
        one = await world.services.store.readings(Span("pi", "acceleration", 0, 2**62), limit=4)
        pieces = 200
        taken = 0

        async def endless(*_: object, sensor: str, **__: object):  # type: ignore[no-untyped-def]
            nonlocal taken
            for _k in range(pieces if sensor == "acceleration" else 0):
                taken += 1
                yield sensor, one

        world.services.store.export = endless  # type: ignore[method-assign]
        ahead = []

        async def nothing() -> None:
            ahead.append(taken)

        seen = await stream(world, bearer(key), after_first_chunk=nothing)
        assert ahead == [1]  # the second piece is asked for when the first has left
        assert len(seen.chunks) == pieces + 1
        assert max(map(len, seen.chunks[1:])) < 2 * len(seen.chunks[0])
