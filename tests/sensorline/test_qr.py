"""The code that sets the phone app up: what is in it, and that it can be drawn."""

import base64
import io
import json
import stat
from pathlib import Path

import segno
import zstandard

from sensorline import qr
from sensorline.commands.device import _save

URL, TOKEN = "https://sensors.example.org/", "sl_" + "x" * 43


def content(address: str) -> dict[str, object]:
    packed = base64.b64decode(address.removeprefix("sensorlogger://config/"), validate=True)
    document: dict[str, object] = json.loads(zstandard.ZstdDecompressor().decompress(packed))
    return document


def test_it_holds_the_apps_settings() -> None:
    config = content(qr.config_url(URL, TOKEN))
    assert config["http"] == {
        "enabled": True,
        "url": "https://sensors.example.org/v1/sensor-logger",
        "batchPeriod": 1000,
        "authToken": f"Bearer {TOKEN}",
    }
    state = config["sensorState"]
    assert isinstance(state, dict)
    assert state["Accelerometer"] == {"enabled": True, "speed": 10}
    assert all(sensor["enabled"] for sensor in state.values())


def test_it_fits_a_terminal_of_80_columns() -> None:
    lines = qr.terminal(qr.config_url(URL, TOKEN), colours=False).splitlines()
    assert 20 < max(map(len, lines)) <= 80
    assert set("".join(lines)) <= set(" █▀▄")


def test_the_terminals_drawing_is_the_code() -> None:
    """Read back, block by block: a light module is a full half block."""
    address = qr.config_url(URL, TOKEN)
    lines = qr.terminal(address, colours=False).splitlines()
    above = {"█": 0, "▀": 0, "▄": 1, " ": 1}
    below = {"█": 0, "▀": 1, "▄": 0, " ": 1}
    rows = [[half[c] for c in line] for line in lines for half in (above, below)]
    matrix = [list(map(int, row)) for row in segno.make(address, error="l", micro=False).matrix_iter(border=2)]
    assert rows[: len(matrix)] == matrix


def test_colours_do_not_depend_on_the_terminals_own() -> None:
    lines = qr.terminal("x", colours=True).splitlines()
    assert all(line.startswith(qr.WHITE_ON_BLACK) and line.endswith(qr.RESET) for line in lines)


def test_it_can_be_saved(tmp_path: Path) -> None:
    file = tmp_path / "code.png"
    file.write_bytes(b"of an earlier token")
    with file.open("rb") as seen_by_others:
        _save(qr.config_url(URL, TOKEN), file)
        assert seen_by_others.read() == b"of an earlier token"  # whoever had it open does not read on
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    expected = io.BytesIO()
    segno.make(qr.config_url(URL, TOKEN), error="l", micro=False).save(expected, kind="png", scale=6, border=4)
    assert file.read_bytes() == expected.getvalue()
