"""`edge init`, `edge check` and `device settings`: a newcomer's file, what is wrong with it, and a real station."""

import asyncio
import http.server
import json
import threading
import tomllib
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.settings import load
from edge.transports import Answer
from sensorline import edge_check, edge_detect, edge_file
from sensorline.cli import app
from sensorline.commands.device_settings import changed
from sensorline.edge_file import Chosen, Plan, render
from sensorline.findings import Level
from telemetry import adapters
from telemetry.errors import Misconfigured
from tests.sensorline.program import SETTINGS, Running, invoke, up

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def run(folder: Path, *arguments: str, answers: str | None = None, code: int = 0) -> str:
    """A command in this process; what it printed."""
    with chdir(folder):
        done = CliRunner().invoke(app, [*arguments], input=answers, env=dict.fromkeys(SETTINGS))
    assert done.exit_code == code, done.output
    return done.output


# --- edge init


def test_without_a_question_there_is_a_file_that_loads(tmp_path: Path) -> None:
    run(tmp_path, "edge", "init", "--yes")
    settings = load(tmp_path / "edge.toml")
    assert settings.device == edge_file.device_default()
    assert settings.adapters == {"http": {"url": "http://127.0.0.1:8080"}}
    assert {name: s.type for name, s in settings.sources.items()} == {"system": "system"}
    text = (tmp_path / "edge.toml").read_text()
    assert text.count("\n#") >= 10, "a newcomer finds words in it"


def test_a_file_that_is_there_stays_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text("mine")
    assert "--force" in run(tmp_path, "edge", "init", "--yes", code=1)
    assert (tmp_path / "edge.toml").read_text() == "mine"
    run(tmp_path, "edge", "init", "--yes", "--force", "--device", "pi")
    assert load(tmp_path / "edge.toml").device == "pi"


def test_asking_asks_again_until_it_makes_sense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def two(dev: Path = Path()) -> Any:
        yield Chosen("gps", "gpsd", {"port": 2947}, "position"), "a fix"
        yield Chosen("imu", "mpu6050", {"bus": 1}), "at 0x68"

    monkeypatch.setattr(edge_detect, "detect", two)
    run(tmp_path, "edge", "init", answers="not a name\npi\nftp://x\nmqtt://10.0.0.3\ny\ny\nn\n")
    settings = load(tmp_path / "edge.toml")
    assert (settings.device, settings.transport) == ("pi", "mqtt")
    assert settings.adapters["mqtt"] == {"url": "mqtt://10.0.0.3", "plain_mqtt_anywhere": True}
    assert list(settings.sources) == ["system", "gps"]
    assert settings.sources["gps"].options == {"port": 2947}


@pytest.mark.parametrize(
    ("url", "flags", "expected"),
    [
        ("http://10.0.0.3:8080", ["--plain"], {"plain_http_anywhere": True}),
        ("http://10.0.0.3:8080", [], {}),
        ("https://10.0.0.3", ["--plain"], {}),
        ("http://[::1]:8080", [], {}),
        ("http://localhost:8080", [], {}),
        ("http://127.evil.example", ["--plain"], {"plain_http_anywhere": True}),
    ],
)
def test_a_token_goes_in_clear_only_if_somebody_says_so(
    tmp_path: Path, url: str, flags: list[str], expected: dict[str, bool]
) -> None:
    run(tmp_path, "edge", "init", "--yes", "--url", url, *flags)
    settings = load(tmp_path / "edge.toml")
    assert settings.adapters["http"] == {"url": url, **expected}
    module = adapters.load("edge.transports", "http")
    adapters.configure(module, "http", settings.adapters["http"])


@given(
    device=NAMES,
    host=NAMES,
    names=st.lists(NAMES, unique=True, max_size=4),
    value=st.text(max_size=20).filter(lambda t: t.isprintable()) | st.integers(0, 99) | st.booleans(),
)
def test_whatever_is_written_is_read_back(device: str, host: str, names: list[str], value: Any) -> None:
    sources = [Chosen(name, "system", {"option": value}, "words") for name in names]
    document = tomllib.loads(render(Plan(device, f"mqtts://{host}", sources)))
    assert document["device"] == device
    assert document["adapters"]["mqtt"]["url"] == f"mqtts://{host}"
    assert document.get("sources", {}) == {name: {"type": "system", "option": value} for name in names}


def test_every_setting_that_the_file_mentions_exists(tmp_path: Path) -> None:
    """The commented ones, too: each is uncommented and must load."""
    text = render(Plan("pi"))
    opened = "\n".join(line.removeprefix("# ") if "= " in line and "enabled" not in line else line
                       for line in text.splitlines())  # fmt: skip
    (tmp_path / "edge.toml").write_text(opened)
    settings = load(tmp_path / "edge.toml")
    defaults = load(_written(tmp_path / "plain.toml", text))
    assert settings.batch == defaults.batch
    assert settings.spool == defaults.spool
    assert settings.clock == defaults.clock, "what the comments show are the defaults"
    assert settings.adapters["http"]["cafile"] == "ca.pem"


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


# --- what is plugged in


def test_what_could_be_here_is_what_the_sources_take(tmp_path: Path) -> None:
    for name in ("i2c-1", "i2c-x", "ttyACM0", "ttyUSB1", "serial0", "tty9"):
        (tmp_path / name).touch()
    found = list(edge_detect.candidates(tmp_path))
    assert len({c.name for c in found}) == len(found) == 8
    known = adapters.names("edge.sources")
    for candidate in found:
        if candidate.type in known:
            adapters.configure(adapters.load("edge.sources", candidate.type), candidate.name, candidate.options)


async def test_what_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "i2c-1").touch()
    monkeypatch.setattr(edge_detect, "TRY_WAIT_S", 1.0)

    async def answers(source: Chosen) -> str | None:
        return "hello" if source.options.get("address") == 0x69 else None

    monkeypatch.setattr(edge_detect, "answers", answers)
    assert [c.name async for c, _ in edge_detect.detect(tmp_path)] == ["imu-1-69"]


async def test_a_trial_of_nothing_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await edge_detect.answers(Chosen("x", "no_such_kind")) is None


# --- edge check


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("station")


@pytest.fixture(scope="module")
def station(folder: Path) -> Iterator[Running]:
    with up(folder, "data") as started:
        yield started


@pytest.fixture(scope="module")
def token(folder: Path, station: Running) -> str:
    return str(ask(folder, station, "device", "add", "pi")[0]["token"])


def ask(folder: Path, station: Running, *arguments: str, code: int = 0) -> list[Any]:
    return invoke(folder, *arguments, "--url", station.url, "--data-dir", "data", code=code)


def edge(folder: Path, url: str, token: str | None, *, device: str = "pi") -> Path:
    """An edge's folder, with its file and token."""
    folder.mkdir(exist_ok=True)
    edge_file.write(Plan(device, url), folder / "edge.toml")
    if token is not None:
        (folder / "edge.token").write_text(token)
        (folder / "edge.token").chmod(0o600)
    return folder


def checked(folder: Path, *, code: int) -> dict[str, tuple[str, str]]:
    """Level and detail by check."""
    found = invoke(folder, "edge", "check", code=code)
    return {f["check"]: (f["level"], f["detail"] + " " + f["mend"]) for f in found}


def test_all_is_well_and_nothing_is_stored(tmp_path: Path, folder: Path, station: Running, token: str) -> None:
    found = checked(edge(tmp_path / "edge", station.url, token), code=0)
    assert set(found) >= {"file", "source system", "connection", "token", "clock", "spool"}
    assert found["connection"][0] == found["token"][0] == found["source system"][0] == "ok"
    assert all(d["readings"] == 0 for d in ask(folder, station, "device", "list"))


def test_the_table_says_the_mend(tmp_path: Path, station: Running) -> None:
    shown = run(edge(tmp_path / "edge", station.url, None), "edge", "check", code=1)
    assert "edge enroll" in shown
    assert "mend:" in shown


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"token": "sl_unknown"}, ("connection", "does not take this token")),
        ({"device": "other"}, ("token", "it is pi's, and this edge is other")),
        ({"url": "http://127.0.0.1:1"}, ("connection", "is the gateway running")),
        ({"token": None}, ("token", "edge enroll")),
    ],
    ids=repr,
)
def test_each_fault_is_named_with_its_mend(
    tmp_path: Path, station: Running, token: str, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    given = {"url": station.url, "token": token, "device": "pi"} | change
    made = edge(tmp_path / "edge", given["url"], given["token"], device=given["device"])
    level, said = checked(made, code=1)[expected[0]]
    assert level == "error"
    assert expected[1] in said


def test_a_token_that_ends_is_told(tmp_path: Path, folder: Path, station: Running) -> None:
    (old,) = ask(folder, station, "device", "add", "rotated")
    ask(folder, station, "device", "rotate", "rotated", "--overlap-s", "3600")
    found = checked(edge(tmp_path / "edge", station.url, old["token"], device="rotated"), code=0)
    assert found["token"][0] == "warning"
    assert "ends in 1.0 h" in found["token"][1]


class Portal(http.server.BaseHTTPRequestHandler):
    """Answers 200 and a page to everything, as a hotel does."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "13")
        self.end_headers()
        self.wfile.write(b"<html></html>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's word
        """Nothing."""


@contextmanager
def portal() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_captive_portal_is_no_gateway(tmp_path: Path) -> None:
    with portal() as url:
        level, said = checked(edge(tmp_path / "edge", url, "sl_x"), code=1)["connection"]
    assert level == "error"
    assert "something else answers" in said


@pytest.mark.parametrize("status", [None, 200, 301, 401, 403, 404, 429, 503, 507])
def test_only_a_refusal_of_the_probe_is_good(tmp_path: Path, status: int | None) -> None:
    edge_file.write(Plan("pi"), tmp_path / "edge.toml")
    assert edge_check.judge(load(tmp_path / "edge.toml"), Answer(status, code="x")).level is Level.ERROR


def test_sources_that_fail_and_sources_that_are_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = edge(tmp_path / "edge", "http://127.0.0.1:1", None)
    with (made / "edge.toml").open("a") as file:
        file.write('[sources.gone]\ntype = "no_such"\n[sources.off]\ntype = "no_such"\nenabled = false\n')
        file.write('[sources.wrong]\ntype = "system"\nno_such_option = 1\n')
    found = checked(made, code=1)
    assert found["source gone"][0] == "error"
    assert found["source off"] == ("ok", "off ")
    assert "no_such_option" in found["source wrong"][1]


def test_a_file_that_is_wrong_is_the_only_finding(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text('device = "a b"')
    assert list(checked(tmp_path, code=1)) == ["file"]
    (tmp_path / "edge.toml").unlink()
    assert "edge init" in checked(tmp_path, code=1)["file"][1]


def test_downloaded_settings_are_told_of(tmp_path: Path) -> None:
    made = edge(tmp_path / "edge", "http://127.0.0.1:1", None)
    (made / "edge-data").mkdir()
    state = {"in_force": {"version": 7, "batch_period_s": 2.0}, "failed": 8, "reason": "source imu: gone"}
    (made / "edge-data" / "remote.json").write_text(json.dumps(state))
    said = [f["detail"] for f in invoke(made, "edge", "check", code=1) if f["check"] == "settings"]
    assert said == [
        "downloaded version 8 failed: source imu: gone",
        "downloaded version 7 lies over the file: batch_period_s 2.0",
    ]


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = edge(tmp_path / "edge", "http://127.0.0.1:1", None)
    usage = edge_check.shutil.disk_usage(tmp_path)
    for free, level in ((1, "error"), (2**28, "warning"), (2**40, "ok")):
        monkeypatch.setattr(edge_check.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert checked(made, code=1)["spool"][0] == level


# --- device settings


def test_settings_are_given_shown_and_taken_back(folder: Path, station: Running, token: str) -> None:
    (first,) = ask(folder, station, "device", "settings", "pi")
    assert first["wanted"] == {"version": 0, "sources": {}}
    set_all = ["--set", "batch_period_s=2", "--set", "sources.imu.rate_hz=50", "--set", "sources.imu.enabled=true"]
    (given,) = ask(folder, station, "device", "settings", "pi", *set_all)
    assert given["wanted"] == {
        "version": 1, "batch_period_s": 2.0, "sources": {"imu": {"rate_hz": 50.0, "enabled": True}}
    }  # fmt: skip
    (less,) = ask(folder, station, "device", "settings", "pi", "--set", "sources.imu.enabled=null")
    assert less["wanted"] == {"version": 2, "batch_period_s": 2.0, "sources": {"imu": {"rate_hz": 50.0}}}
    (none,) = ask(folder, station, "device", "settings", "pi", "--clear")
    assert none["wanted"] == {"version": 3, "sources": {}}
    shown = run(folder, "device", "settings", "pi", "--url", station.url, "--data-dir", "data")
    assert "version 3 is wanted" in shown
    assert "reported nothing" in shown
    for wrong in ("batch_period_s=fast", "sources.imu.rate_hz=-1", "data_dir=/", "sources.imu.address=3"):
        args = ("device", "settings", "pi", "--set", wrong, "--url", station.url, "--data-dir", "data")
        assert run(folder, *args, code=1).startswith("error: ")


def test_a_source_s_name_may_have_dots() -> None:
    assert changed({}, {"sources.roof.imu.rate_hz": "5"})["sources"] == {"roof.imu": {"rate_hz": 5}}
    before = {"sources": {"a": {"rate_hz": 1}}}
    changed(before, {"sources.a.rate_hz": "2"})
    assert before == {"sources": {"a": {"rate_hz": 1}}}
    with pytest.raises(Misconfigured):
        changed({}, {"sources.rate_hz": "1"})


def test_the_probe_waits_no_longer_than_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def send(self, body: bytes, headers: Any = None) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

        async def close(self) -> None:
            """Nothing."""

    monkeypatch.setattr(edge_check, "ANSWER_WAIT_S", 0.05)
    monkeypatch.setattr(edge_check.opening, "transport", lambda *_: Silent())
    found = checked(edge(tmp_path / "edge", "http://127.0.0.1:1", "sl_x"), code=1)
    assert "no answer within" in found["connection"][1]
