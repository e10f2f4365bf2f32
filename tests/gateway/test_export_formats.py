"""What is taken home is what was stored: exact integers, floats at their precision, texts, tracks; in pieces."""

import csv
import io
import json
from collections.abc import Iterable

import gpxpy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.export import formats, geojson, load_format
from telemetry.errors import Misconfigured

T0 = 1_700_000_000_123_456_789
Piece = tuple[str, pa.Table]


def rows(t: Iterable[int], session: str = "s", seq: int = 2**62 + 1, **fields: object) -> pa.Table:
    times = pa.array(t, pa.int64())
    n = len(times)
    return pa.table(
        {
            "t": times,
            **fields,
            "session": [session] * n,
            "seq": pa.array([seq] * n, pa.int64()),
            "series": pa.array([0] * n, pa.int32()),
            "i": pa.array(range(n), pa.int32()),
        }
    )


def floats(*values: float | None) -> pa.Array:
    return pa.array(values, pa.float32())


def document(name: str, sensors: list[str], pieces: list[Piece], device: str = "pi-1") -> bytes:
    writer = load_format(name).open(device, sensors)
    return b"".join(writer.write(*piece) for piece in pieces) + writer.end()


def table_in(name: str, body: bytes) -> pa.Table:
    if name == "parquet":
        return pq.read_table(io.BytesIO(body))
    return pa.ipc.open_stream(body).read_all()


MOTION: list[Piece] = [
    ("acceleration", rows([T0, T0 + 1], x=floats(0.1, None), y=floats(1e-7, float("nan")), z=floats(3.4e38, -0.0))),
    ("battery", rows([T0 + 2], level=floats(0.5), state=["full"], low_power=[True], extra=['{"a":1}'])),
]
SENSORS = ["acceleration", "battery"]


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_a_table_holds_every_reading_exactly(name: str) -> None:
    table = table_in(name, document(name, SENSORS, MOTION))
    assert table.column_names[:6] == ["sensor", "session", "seq", "series", "i", "t"]
    assert table.column_names[-1] == "extra"
    assert table["t"].to_pylist() == [T0, T0 + 1, T0 + 2]
    assert table["seq"].to_pylist() == [2**62 + 1] * 3
    assert table["sensor"].to_pylist() == ["acceleration", "acceleration", "battery"]
    assert table["x"].to_pylist() == [np.float32(0.1), None, None]
    assert table["y"].null_count == 2  # NaN is absent
    assert table["low_power"].to_pylist() == [None, None, True]
    assert table["extra"].to_pylist() == [None, None, '{"a":1}']
    assert table.schema.field("x").type == pa.float32()


def test_csv_holds_the_shortest_exact_text() -> None:
    lines = list(csv.DictReader(io.StringIO(document("csv", SENSORS, MOTION).decode())))
    assert [line["t"] for line in lines] == [str(T0 + k) for k in range(3)]
    assert [lines[0][axis] for axis in "xyz"] == ["0.1", "1e-7", "3.4e+38"]
    assert (lines[1]["x"], lines[1]["y"], lines[2]["x"]) == ("", "", "")
    assert lines[2]["seq"] == str(2**62 + 1)
    assert lines[2]["extra"] == '{"a":1}'


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_csv_floats_come_back_bit_for_bit(values: list[float]) -> None:
    body = document("csv", ["light"], [("light", rows(range(len(values)), illuminance=floats(*values)))])
    lines = csv.DictReader(io.StringIO(body.decode()))
    back = np.array([np.float32(line["illuminance"]) for line in lines])
    assert back.tobytes() == np.array(values, np.float32).tobytes()


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=20))
def test_csv_texts_come_back_and_none_is_a_formula(texts: list[str | None]) -> None:
    piece = rows(range(len(texts)), text=pa.array(texts, pa.string()))
    body = document("csv", ["annotation"], [("annotation", piece)]).decode()
    back = [line["text"] for line in csv.DictReader(io.StringIO(body, newline=""))]
    for was, now in zip(texts, back, strict=True):
        assert not now.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert now in (was or "", f"'{was}")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_disarms_formulas_in_text_and_leaves_numbers(text: str) -> None:
    pieces = [
        ("annotation", rows([1], text=[text])),
        ("temperature", rows([1], celsius=floats(-1.5))),
    ]
    lines = list(
        csv.DictReader(io.StringIO(document("csv", ["annotation", "temperature"], pieces).decode(), newline=""))
    )
    assert lines[0]["text"] == f"'{text}"
    assert lines[1]["celsius"] == "-1.5"


@pytest.mark.parametrize("name", ["csv", "parquet", "arrow", "gpx", "geojson"])
def test_no_reading_at_all_is_a_whole_document_too(name: str) -> None:
    body = document(name, ["location"], [])
    if name == "csv":
        assert body.decode().splitlines() == [",".join(f'"{c}"' for c in table_columns())]
    elif name == "gpx":
        assert gpxpy.parse(body.decode()).get_points_no() == 0
    elif name == "geojson":
        assert json.loads(body) == {"type": "FeatureCollection", "features": []}
    else:
        assert table_in(name, body).num_rows == 0


def table_columns() -> list[str]:
    return table_in("arrow", document("arrow", ["location"], [])).column_names


def place(n: int, *, start: int = 0, session: str = "a") -> Piece:
    k = np.arange(start, start + n)
    table = rows(
        T0 + k * 10**9,
        session,
        latitude=51.0 + k * 1e-5,
        longitude=-0.123456789012345 - k * 1e-5,
        altitude=k * 0.5,
        speed=pa.array(np.full(n, 1.2), pa.float32()),
    )
    return "location", table


def test_gpx_has_a_segment_a_session_however_the_pieces_are_cut() -> None:
    whole = document("gpx", ["location"], [place(10), place(5, session="b")])
    cut = document(
        "gpx", ["location"], [place(4), place(6, start=4), place(2, session="b"), place(3, start=2, session="b")]
    )
    for body in (whole, cut):
        track = gpxpy.parse(body.decode()).tracks[0]
        assert track.name == "pi-1"
        assert [len(s.points) for s in track.segments] == [10, 5]
        assert track.segments[0].points[3].longitude == -0.123456789012345 - 3e-5
        assert track.segments[0].points[3].elevation == 1.5
        assert track.segments[0].points[0].time.microsecond == 123_456


def test_gpx_joins_sessions_within_one_piece() -> None:
    both = pa.concat_tables([place(3)[1], place(2, session="b")[1]])
    track = gpxpy.parse(document("gpx", ["location"], [("location", both)]).decode()).tracks[0]
    assert [len(s.points) for s in track.segments] == [3, 2]


def test_geojson_is_lines_and_points_longitude_first() -> None:
    found = json.loads(document("geojson", ["location"], [place(4), place(6, start=4), place(1, session="b")]))
    lines = [f for f in found["features"] if f["geometry"]["type"] == "LineString"]
    points = [f for f in found["features"] if f["geometry"]["type"] == "Point"]
    assert len(lines) == 1  # session b has one position, which is no line
    assert len(points) == 11
    assert lines[0]["geometry"]["coordinates"][2] == [-0.123456789012345 - 2e-5, 51.0 + 2e-5, 1.0]
    assert lines[0]["properties"]["from"] == "2023-11-14T22:13:20.123456789Z"
    assert points[0]["properties"] == {
        "session": "a",
        "t": T0,
        "time": "2023-11-14T22:13:20.123456789Z",
        "speed": 1.2,
    }


def test_geojson_cuts_long_lines_and_tells_each_point_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "LINE_POINTS_MAX", 4)
    features = json.loads(document("geojson", ["location"], [place(10)]))["features"]
    lines = [f["geometry"]["coordinates"] for f in features if f["geometry"]["type"] == "LineString"]
    assert [len(line) for line in lines] == [4, 4, 4]
    assert lines[0][-1] == lines[1][0]
    assert sum(f["geometry"]["type"] == "Point" for f in features) == 10


@pytest.mark.parametrize("name", ["gpx", "geojson"])
def test_rows_without_a_position_are_on_no_map(name: str) -> None:
    piece = rows([1, 2, 3], latitude=[1.0, None, 2.0], longitude=[1.0, 5.0, float("nan")])
    body = document(name, ["location"], [("location", piece)]).decode()
    assert body.count("trkpt lat" if name == "gpx" else '"Point"') == 1


def test_the_formats_are_the_files() -> None:
    assert formats() == ["arrow", "csv", "geojson", "gpx", "parquet"]
    with pytest.raises(Misconfigured, match="there are: arrow, csv"):
        load_format("xlsx")
