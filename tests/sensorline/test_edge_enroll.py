"""`device code` and `edge enroll` against a served gateway: the token's file, and the least change of edge.toml."""

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import settings as edge_settings
from sensorline import edge_enroll
from sensorline.api import Refused
from sensorline.edge_enroll import with_settings
from telemetry.errors import Misconfigured, NotFound
from tests.gateway.gateway_world import World, batch
from tests.gateway.running import Running, running
from tests.sensorline.program import invoke, sensorline


async def prepare(world: World) -> None:
    world.admin = await world.services.enrolment.add_operator("boss", "operator")


@pytest.fixture(scope="module")
def station() -> Iterator[Running]:
    with running(prepare) as app:
        yield app


def code_for(station: Running, folder: Path, device: str) -> str:
    (made,) = invoke(folder, "device", "code", device, "--url", station.url, "--key", station.world.admin)
    assert made["device"] == device
    return str(made["code"])


def enroll(url: str, code: str, *, config: Path | None = None) -> edge_enroll.Enrolment:
    return edge_enroll.enroll(url, code, config=config, name=None, cafile=None, allow_http=False)


def works(station: Running, device: str, token_file: Path) -> bool:
    answer = station.run(station.world.post("/v1/batches", batch(device), token_file.read_text().strip()))
    return bool(answer.status_code == 200)


def test_a_code_becomes_a_token_file_for_its_owner_only(
    station: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_for(station, tmp_path, "pi-1")
    (done,) = invoke(tmp_path, "edge", "enroll", station.url, code.lower())
    assert (done["device"], done["config"]) == ("pi-1", None)
    assert done["to_set"] == {"device": "pi-1", "adapters.http.url": station.url}
    file = tmp_path / "edge.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert works(station, "pi-1", file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="no good"):
        enroll(station.url, code)
    assert works(station, "pi-1", file)  # what is refused replaces nothing
    assert [p.name for p in tmp_path.iterdir()] == ["edge.token"]


def test_the_configuration_gets_what_it_lacks_and_keeps_its_comments(station: Running, tmp_path: Path) -> None:
    config = tmp_path / "sub" / "my.toml"
    config.parent.mkdir()
    config.write_text('# mine\ntoken_file = "secret"  # here\n\n[sources.a]\ntype = "system"\n')
    config.chmod(0o640)
    line = ["edge", "enroll", station.url, code_for(station, tmp_path, "pi-2"), "--config", config]
    (done,) = invoke(tmp_path, *line)
    assert done["added"] == {"device": "pi-2", "adapters.http.url": station.url}
    assert done["to_set"] == {}
    text = config.read_text()
    assert "# mine" in text
    assert "# here" in text
    loaded = edge_settings.load(config)
    assert (loaded.device, loaded.adapters) == ("pi-2", {"http": {"url": station.url}})
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert works(station, "pi-2", config.parent / "secret")
    (again,) = invoke(tmp_path, *line[:3], code_for(station, tmp_path, "pi-2"), *line[4:])
    assert (again["added"], again["to_set"], config.read_text()) == ({}, {}, text)


def test_a_code_for_another_device_is_not_used_up(station: Running, tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text('device = "pi-3"\n[adapters.http]\nurl = "http://elsewhere:1"\n')
    before = (tmp_path / "edge.toml").read_text()
    code = code_for(station, tmp_path, "pi-4")
    with pytest.raises(Refused, match="pi-4"):
        enroll(station.url, code, config=tmp_path / "edge.toml")
    assert not (tmp_path / "edge.token").exists()
    done = sensorline(tmp_path, "edge", "enroll", station.url, code, "--name", "pi-4")
    assert 'device = "pi-4"' in done.stdout
    assert f'url = "{station.url}"' in done.stdout
    assert (tmp_path / "edge.toml").read_text() == before
    assert "sl_" not in done.stdout + done.stderr


def test_what_can_fail_is_tried_before_the_code_is_used(
    station: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_for(station, tmp_path, "pi-5")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("device = ")
    (tmp_path / "nowhere.toml").write_text('token_file = "no/such/folder/token"\n')
    for config in ("bad.toml", "absent.toml", "nowhere.toml"):
        with pytest.raises(Misconfigured):
            enroll(station.url, code, config=Path(config))
    with pytest.raises(Misconfigured, match="--allow-http"):
        enroll("http://192.0.2.1", code)
    with pytest.raises(Misconfigured):
        enroll("station", code)
    assert enroll(station.url, code).device == "pi-5"


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("", {"device": "a", "adapters.http.url": "u"}),
        ("[adapters.http] # it\n# c\nencoding = 'gzip'\n", {"device": "a", "adapters.http.url": "u"}),
        ("[adapters.mqtt]\nurl = 'm'\n", {"adapters.http.url": "u", "adapters.http.plain_http_anywhere": True}),
        ("device = 'x'\n[adapters]\nmqtt = {url = 'm'}\n", {"adapters.http.url": "u"}),
        ("x = 1", {"device": 'quo"te'}),
    ],
)
def test_lines_are_added_and_everything_else_stays(text: str, lacking: dict[str, Any]) -> None:
    made = with_settings(text, lacking)
    assert made is not None
    for line in text.splitlines():
        assert line in made.splitlines()
    before, after = tomllib.loads(text), tomllib.loads(made)
    for path, value in lacking.items():
        place = after
        *parents, leaf = path.split(".")
        for name in parents:
            place = place[name]
        assert place.pop(leaf) == value
    if not after.get("adapters", {}).get("http", True):
        del after["adapters"]["http"]
    assert {k: v for k, v in after.items() if v} == {k: v for k, v in before.items() if v}


def test_a_table_written_in_its_own_way_is_left_to_a_person() -> None:
    assert with_settings("adapters = {mqtt = {url = 'm'}}\n", {"adapters.http.url": "u"}) is None
    assert with_settings("adapters.http = {encoding = 'gzip'}\n", {"adapters.http.url": "u"}) is None
