"""Replay: every format gives the readings that were written, in order of time, once, at its pace."""

import asyncio
import gzip
import tracemalloc
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge.batcher import join
from edge.sources import Bad, SourceFailed, replay
from edge.sources._replay_streams import CHUNK_ROWS
from telemetry import wire
from telemetry.batch import Batch, Series
from telemetry.clock import ManualClock
from telemetry.errors import Misconfigured
from telemetry.outcome import Reason
from tests.edge.sources.exports import START_NS, csv_text, metadata, tables, world_series, write_json, write_zip
from tests.edge.sources.harness import Driven, Kept, context, until

MAP = {"sensor": "acceleration", "time": "t", "time_unit": "ns", "fields": {"x": "x", "y": "y", "z": "z"}}
MS = 10**6


def opened(folder: Path, path: str, cursor: str | None = None, clock: ManualClock | None = None, **options: Any) -> Any:
    config = replay.Config.model_validate({"path": path, "speed": 0, **options})
    return replay.open(config, replace(context(clock, folder), cursor=cursor))


async def replayed(folder: Path, path: str, cursor: str | None = None, **options: Any) -> Kept:
    kept = Kept()
    async with asyncio.timeout(60):
        await opened(folder, path, cursor, **options).run(kept)
    return kept


def rows(count: int, first: int = 0, step_ns: int = 10 * MS) -> list[dict[str, Any]]:
    return [{"t": START_NS + k * step_ns, "x": k / 8, "y": -k / 8, "z": 9.5} for k in range(first, first + count)]


def csv_of(table: Sequence[dict[str, Any]]) -> str:
    return csv_text([{name: str(value) for name, value in row.items()} for row in table])


def same(kept: Kept, table: Sequence[dict[str, Any]], *, ordered: bool = True) -> None:
    times, x = kept.times("acceleration"), kept.column("acceleration", "x")
    order = slice(None) if ordered else np.argsort(times, kind="stable")
    assert times[order].tolist() == [row["t"] for row in table]
    assert x[order].tolist() == [np.float32(row["x"]) for row in table]


# --- formats --------------------------------------------------------------------------------------------------


async def test_csv(tmp_path: Path) -> None:
    table = rows(CHUNK_ROWS + 1000)
    (tmp_path / "a.csv").write_text(csv_of(table))
    kept = await replayed(tmp_path, "a.csv", map=MAP)
    same(kept, table)
    assert not kept.bad


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
async def test_csv_of_other_dialects(tmp_path: Path, delimiter: str) -> None:
    text = "made by a logger\n" + csv_of(rows(3)).replace(",", delimiter).replace("\n", "\r\n")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    same(await replayed(tmp_path, "a.csv.gz", map=MAP, skip_lines=1), rows(3))


async def test_csv_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(csv_of(rows(3)).partition("\n")[2])
    same(await replayed(tmp_path, "a.txt", map=MAP, header=["t", "x", "y", "z"]), rows(3))


async def test_bad_rows_of_csv_keep_their_lines(tmp_path: Path) -> None:
    good = [f"{row['t']},{row['x']},{row['y']},{row['z']}" for row in rows(4)]
    lines = ["t,x,y,z", good[0], "junk", "", f'{START_NS},"1\n2",3,4', good[1], "1,2,3,4,5", good[2]]
    lines += [f"{START_NS},{'9' * 200_000},0,0", good[3], f"{START_NS},,,", f"{START_NS},\udcff,0,0"]
    (tmp_path / "a.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    kept = await replayed(tmp_path, "a.csv", map=MAP)
    same(kept, rows(4))
    assert [(b.line, b.reason) for b in kept.bad if b.line < 11] == [
        (3, Reason.BAD_VALUES),
        (5, Reason.BAD_VALUES),
        (8, Reason.BAD_VALUES),
        (10, Reason.BAD_VALUES),
    ]
    assert kept.bad[1].text == f"{START_NS},1\n2,3,4"
    assert kept.bad[-1].text.endswith("\\udcff,0,0")


async def test_a_field_without_end_is_one_bad_row(tmp_path: Path) -> None:
    first = f"t,x,y,z\n{START_NS},0.0,0,9.5\n"
    (tmp_path / "a.csv").write_text(first + '"' + "x" * 60_000 + "\n" + ("y" * 60_000 + "\n") * 3)
    kept = await replayed(tmp_path, "a.csv", map=MAP)
    same(kept, rows(1))
    assert kept.bad[0].line == 3
    assert kept.bad[0].reason == Reason.UNDECODABLE


async def test_json_lines(tmp_path: Path) -> None:
    lines = [orjson.dumps(row) for row in rows(3)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([lines[0], b"{", b"", b"7", lines[1], b'{"t":1}', lines[2]]))
    kept = await replayed(tmp_path, "a.jsonl", map=MAP)
    same(kept, rows(3))
    assert [(b.line, b.reason, b.text) for b in kept.bad] == [
        (2, Reason.UNDECODABLE, "{\n"),
        (4, Reason.BAD_VALUES, "7"),
        (6, Reason.BAD_VALUES, "{'t': 1}"),
    ]


@pytest.mark.parametrize("typed", [False, True])
async def test_parquet(tmp_path: Path, typed: bool) -> None:
    table = rows(2500)
    times = [row["t"] for row in table]
    arrow = pa.table(
        {
            "t": pa.array(times, pa.timestamp("ns", "Europe/Berlin") if typed else pa.int64()),
            "x": pa.array([None if k == 7 else row["x"] for k, row in enumerate(table)], pa.float32()),
            "y": [row["y"] for row in table],
            "z": [float("nan") if k == 9 else 9.5 for k in range(2500)],
            "unused": ["x"] * 2500,
        }
    )
    pq.write_table(arrow, tmp_path / "a.parquet", row_group_size=1000)
    kept = await replayed(tmp_path, "a.parquet", map=MAP)
    assert kept.times("acceleration").tolist() == times[:9] + times[10:]
    assert np.isnan(kept.column("acceleration", "x")[7])
    assert [(b.line, b.reason) for b in kept.bad] == [(10, Reason.NOT_FINITE)]
    resumed = await replayed(tmp_path, "a.parquet", _cursor_at(kept, 0), map=MAP)
    assert resumed.count("acceleration") == 2499 - len(kept.series[0])


# --- Sensor Logger's exports ----------------------------------------------------------------------------------


def canonical(series: Sequence[Series]) -> bytes:
    return wire.encode(Batch("d", "s", 0, (join(series),)))


@pytest.mark.parametrize("platform", ["android", "ios"])
@pytest.mark.parametrize("kind", ["zip", "json"])
async def test_an_export_of_the_app_is_what_the_device_measured(tmp_path: Path, platform: str, kind: str) -> None:
    world = world_series(65)
    about = metadata(platform)
    write = write_zip if kind == "zip" else write_json
    write(tmp_path / f"drive.{kind}", tables(world, platform), about)
    kept = await replayed(tmp_path, f"drive.{kind}")
    assert not kept.bad
    for sensor, expected in world.items():
        assert canonical([s for s in kept.series if s.sensor == sensor]) == canonical(expected), sensor


async def test_frames_are_converted_as_the_options_and_the_metadata_say(tmp_path: Path) -> None:
    row = {"time": str(START_NS), "seconds_elapsed": "0", "z": "-1", "y": "0", "x": "0.5"}
    tables_ = {"Gravity": [row], "AccelerometerUncalibrated": [row]}
    write_json(tmp_path / "ios.json", tables_, metadata("ios"))
    write_json(tmp_path / "std.json", tables_, metadata("ios", standardised=True))

    async def z(path: str, **options: Any) -> list[float]:
        kept = await replayed(tmp_path, path, **options)
        return [round(float(kept.column(s, "z")[0]), 5) for s in ("gravity", "acceleration_uncalibrated")]

    assert await z("ios.json") == [1.0, 9.80665]
    assert await z("std.json") == [-1.0, -1.0]
    assert await z("std.json", standardised=False) == [1.0, 9.80665]
    assert await z("ios.json", platform="android") == [-1.0, -1.0]


async def test_what_the_catalogue_lacks_is_kept_and_the_bad_is_named(tmp_path: Path) -> None:
    good = {"time": str(START_NS), "seconds_elapsed": "0"}
    tables_ = {
        "Thermometer": [{**good, "kelvin": "290.5", "where": "roof"}],
        "Location": [{**good, "latitude": "52", "longitude": "13", "speed": "-1", "satellites": "9"}],
        "Annotation": [{**good, "text": "", "millisecond_press_duration": "1500"}],
        "Gyroscope": [{**good, "x": "n/a", "y": "0", "z": "0"}, {**good, "time": "soon", "x": "0", "y": "0", "z": "0"}],
    }
    write_zip(tmp_path / "a.zip", tables_, metadata("android"))
    kept = await replayed(tmp_path, "a.zip")
    by_sensor = {s.sensor: s for s in kept.series}
    assert by_sensor["thermometer"].extra == ('{"kelvin":290.5,"where":"roof"}',)
    assert by_sensor["location"].extra == ('{"satellites":9}',)
    assert "speed" not in by_sensor["location"].values
    assert float(kept.column("annotation", "press_duration")[0]) == 1.5
    assert [(b.line, b.reason) for b in kept.bad] == [(2, Reason.BAD_VALUES), (3, Reason.BAD_TIME)]
    (tmp_path / "b.json").write_bytes(orjson.dumps([1, {"a": 1}, {"sensor": "Gravity", **good, "x": "1"}]))
    array = await replayed(tmp_path, "b.json")
    assert [(b.line, b.reason) for b in array.bad] == [(1, Reason.NOT_AN_OBJECT), (2, Reason.NO_NAME)]
    assert array.count("gravity") == 1


async def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", tables(world_series(3), "ios"), metadata("ios")).read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[: len(whole) // 2])
    broken = bytearray(whole)
    broken[len(whole) // 2 : len(whole) // 2 + 200] = bytes(200)
    (tmp_path / "broken.zip").write_bytes(broken)
    (tmp_path / "a.parquet").write_bytes(b"PAR1junk")
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(csv_of(rows(5)).encode() * 500)[:-9])
    for path in ("torn.zip", "broken.zip", "a.parquet", "a.json", "a.csv.gz", "nothing.csv"):
        with pytest.raises(SourceFailed, match=path.partition(".")[0]):
            await replayed(tmp_path, path, map=MAP, format="parquet" if path == "a.parquet" else None)
    with pytest.raises(SourceFailed, match="json_bytes_max"):
        await replayed(tmp_path, "a.json", json_bytes_max=1)


# --- several files, resuming, pace ----------------------------------------------------------------------------


async def test_files_are_merged_by_time(tmp_path: Path) -> None:
    random = Random(3)
    table = rows(3 * CHUNK_ROWS)
    parts: dict[str, list[dict[str, Any]]] = {"a": [], "b": [], "c": []}
    for row in table[: 2 * CHUNK_ROWS]:
        parts[random.choice("ab")].append(row)
    parts["c"] = table[2 * CHUNK_ROWS :]
    for name, part in parts.items():
        (tmp_path / f"{name}.csv").write_text(csv_of(part))
    kept = await replayed(tmp_path, "*.csv", map=MAP)
    same(kept, table, ordered=False)
    until_now = 0
    for put in kept.by_put:
        assert min(int(one.t[0]) for one in put) >= until_now
        until_now = max(int(one.t[-1]) for one in put)


async def test_in_real_time_slices_are_in_order_across_files(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", tables(world_series(4), "android"), metadata("android"))
    clock = ManualClock()
    driven = Driven(opened(tmp_path, "a.zip", clock=clock, speed=2), clock)
    await driven.run_for(1.0)
    gyroscope, gravity = driven.kept.times("gyroscope"), driven.kept.times("gravity")
    for times in (gyroscope, gravity):
        assert 1.5e9 < times[-1] - START_NS <= 2.0e9
    assert np.all(np.diff(gyroscope) > 0)
    await driven.run_for(2.0)
    assert driven.task.done()
    assert driven.kept.count("gyroscope") == 400


async def test_a_long_pause_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_of([*rows(2), *rows(2, first=30_000)]))
    clock = ManualClock()
    driven = Driven(opened(tmp_path, "a.csv", clock=clock, speed=1, pause_s_max=5, map=MAP), clock)
    await driven.run_for(4.0)
    assert driven.kept.count("acceleration") == 2
    await driven.run_for(2.0)
    assert driven.task.done()
    assert driven.kept.count("acceleration") == 4


async def test_times_can_be_made_now(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_of(rows(2 * CHUNK_ROWS)))
    clock = ManualClock(START_NS + 10**15)
    kept, source = Kept(), opened(tmp_path, "a.csv", clock=clock, times="now", map=MAP)
    await source.run(kept)
    times = kept.times("acceleration")
    assert times[0] == clock.now_ns()
    assert np.all(np.diff(times) == 10 * MS)
    await clock.advance(100)
    rest = Kept()
    await opened(tmp_path, "a.csv", cursor=kept.cursors[0], clock=clock, times="now", map=MAP).run(rest)
    assert rest.times("acceleration").tolist() == times[len(kept.series[0]) :].tolist()


def _cursor_at(kept: Kept, k: int) -> str:
    return kept.cursors[k]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "zip", "json"])
async def test_a_stop_anywhere_loses_and_doubles_nothing(tmp_path: Path, kind: str) -> None:
    """Each put stands for a crash behind it: what was put, and the rest from its cursor, are the whole."""
    table = [*rows(300), {"t": "bad", "x": "", "y": "", "z": ""}, *rows(300, first=301)]
    if kind == "csv":
        (tmp_path / "a.csv").write_text(csv_of(table))
    elif kind == "jsonl":
        (tmp_path / "a.jsonl").write_bytes(b"\n".join(map(orjson.dumps, table)))
    else:
        write = write_zip if kind == "zip" else write_json
        write(tmp_path / f"a.{kind}", tables(world_series(3), "ios"), metadata("ios"))
    options = {"map": MAP} if kind in ("csv", "jsonl") else {}
    clock = ManualClock()
    driven = Driven(opened(tmp_path, f"a.{kind}", clock=clock, speed=1, **options), clock)
    await driven.run_for(10)
    await until(driven.task.done)
    whole = driven.kept
    assert len(whole.cursors) == whole.puts > 10
    counts = _readings(whole.series)
    for k in range(0, len(whole.cursors), 5):
        rest = await replayed(tmp_path, f"a.{kind}", whole.cursors[k], **options)
        until_there = _series_until(whole, k)
        assert _readings([*until_there, *rest.series]) == counts
    over = await replayed(tmp_path, f"a.{kind}", whole.cursors[-1], **options)
    assert (over.puts, over.bad) == (0, [])


def _readings(series: Sequence[Series]) -> list[tuple[str, int]]:
    return sorted((s.sensor, t) for s in series for t in s.t.tolist())


def _series_until(kept: Kept, k: int) -> list[Series]:
    return [s for put in kept.by_put[: k + 1] for s in put]


async def test_a_finished_replay_stays_finished_until_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(csv_of(rows(10)))
    done = (await replayed(tmp_path, "a.csv", map=MAP)).cursors[-1]
    file.touch()
    assert (await replayed(tmp_path, "a.csv", done, map=MAP)).puts == 0
    file.write_text(csv_of(rows(15)))  # grown
    grown = await replayed(tmp_path, "a.csv", done, map=MAP)
    same(grown, rows(5, first=10))
    file.write_text(csv_of(rows(15, first=3)))  # another
    same(await replayed(tmp_path, "a.csv", grown.cursors[-1], map=MAP), rows(15, first=3))
    for junk in ("", "{}", "[]", '{"files":{"a.csv":3}}', '{"files":[]}'):
        assert (await replayed(tmp_path, "a.csv", junk, map=MAP)).count("acceleration") == 15


async def test_a_large_file_is_never_held_whole(tmp_path: Path) -> None:
    line = f"{START_NS},1.5,2.5,9.5\n"
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("TotalAcceleration.csv", "time,x,y,z\n" + line * 200_000)

    class Counting(Kept):
        async def put(self, series: Sequence[Series], *, cursor: str | None = None) -> None:
            self.puts += sum(map(len, series))

        def set_aside(self, rows: Sequence[Bad]) -> None:
            raise AssertionError(rows)

    kept, source = Counting(), opened(tmp_path, "a.zip", platform="android")
    tracemalloc.start()
    await source.run(kept)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.puts == 200_000
    assert peak < 12 * 2**20


# --- check and configuration ----------------------------------------------------------------------------------


async def test_check_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_of([*rows(2), {"t": "x", "x": 1, "y": 1, "z": 1}]))
    said = await opened(tmp_path, "a.csv", map=MAP).check()
    assert said == "1 files, acceleration, first reading at 2023-11-14T22:13:20+00:00, 1 bad rows among the first 64"
    with pytest.raises(Misconfigured, match="no column 'y'"):
        (tmp_path / "b.csv").write_text("t,x\n1,2\n")
        await opened(tmp_path, "b.csv", map=MAP).check()
    with pytest.raises(Misconfigured, match="format ="):
        (tmp_path / "c.dat").write_text("t,x\n1,2\n")
        await opened(tmp_path, "c.dat", map=MAP).check()
    with pytest.raises(Misconfigured, match=r"sources\.test\.map"):
        (tmp_path / "d.jsonl").write_text("{}\n")
        await opened(tmp_path, "d.jsonl").check()
    with pytest.raises(ValueError, match=r"map\.time"):
        opened(tmp_path, "a.csv", map={"sensor": "gravity", "fields": {"x": "x"}})
    with pytest.raises(Misconfigured) as e:
        opened(tmp_path, "a.csv", map={**MAP, "fields": {"x": {"from": "x", "unit": "m"}}})
    assert e.value.path == "sources.test.map.fields.x.unit"


def open_files() -> list[str]:
    return [str(p.readlink()) for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]


async def test_a_cancelled_replay_lets_its_files_go(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_of(rows(20_000)))
    clock = ManualClock()
    driven = Driven(opened(tmp_path, "a.csv", clock=clock, speed=1, map=MAP), clock)
    await driven.run_for(1)
    await driven.stop()
    assert driven.task.cancelled()
    assert str(tmp_path / "a.csv") not in open_files()
