"""The first start of compose.yaml, for real: its secrets, the broker and the station that take them, the accounts."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sensorline.mqtt_init import find_plugin
from sensorline.servers.ports import free_port
from telemetry.stores._elastic_names import Names
from tests.deploy.files import DEPLOY, services
from tests.deploy.secrets_made import Secrets
from tests.faults.mosquitto import programs
from tests.sensorline.program import PROGRAM, environment
from tests.sensorline.test_mqtt_init import started


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """For tests that change nothing in it."""
    return Secrets.in_folder(tmp_path_factory.mktemp("made")).make()


def secret(made: Secrets, path: str) -> str:
    return (made.root / path).read_text()


def test_every_secret_is_random_private_and_made_once(made: Secrets, tmp_path: Path) -> None:
    files = made.files()
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    own = {
        name: secret(made, f"setup/{name}.password") for name in ("elastic", "kibana_system", "sensorline", "operator")
    }
    assert len(set(own.values())) == 4
    assert all(len(text) >= 43 for text in own.values()), "256 bits"
    assert made.make().files() == files, "a second start changes nothing"
    other = Secrets.in_folder(tmp_path / "other").make()
    common = set(files.values()) & set(other.files().values())
    assert not common, "no two installations share any of it"


def test_each_service_finds_the_file_that_it_is_told_of(made: Secrets) -> None:
    told = {
        value
        for each in services().values()
        for variable, value in each.get("environment", {}).items()
        if variable.endswith("_FILE")
    }
    assert len(told) == 4
    for path in told:
        assert Path(made.here(path)).read_text().strip(), path
    assert secret(made, "elasticsearch/elastic.password") == secret(made, "setup/elastic.password")
    assert secret(made, "sensorline/elasticsearch.password") == secret(made, "setup/sensorline.password")


def test_kibanas_settings_hold_its_password_and_keys_of_its_own(made: Secrets) -> None:
    settings = yaml.safe_load(secret(made, "kibana/kibana.yml"))
    assert settings["elasticsearch.password"] == secret(made, "setup/kibana_system.password")
    keys = [value for name, value in settings.items() if name.endswith("encryptionKey")]
    assert len(set(keys)) == 3
    assert all(len(key) >= 32 for key in keys), "Kibana asks for 32 characters"


def test_a_start_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    made = Secrets.in_folder(tmp_path).make()
    before = made.files()
    (made.root / "sensorline" / "elasticsearch.password").unlink()
    (made.root / "setup" / "operator.password").unlink()
    (made.root / "setup" / "operator.part").write_text("half")
    (made.mosquitto / "mosquitto.conf").unlink()
    (made.root / "mqtt" / "gateway.password").unlink()
    (made.root / "mqtt" / "admin.password").unlink()
    made.make()
    assert made.files().keys() == before.keys()
    assert secret(made, "sensorline/elasticsearch.password") == secret(made, "setup/sensorline.password")
    assert secret(made, "mqtt/gateway.password").strip() == (made.mosquitto / "gateway.password").read_text().strip()


def test_a_person_is_shown_theirs_and_a_wrong_word_is_told(made: Secrets) -> None:
    assert made.run("show", "operator").stdout.strip() == secret(made, "setup/operator.password")
    for words in ((), ("show",), ("mke",)):
        done = made.run(*words)
        assert done.returncode == 2
        assert "usage" in done.stderr


@contextmanager
def station(folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """`sensorline up` with these variables alone; ended by SIGTERM."""
    process = subprocess.Popen(
        [PROGRAM, "up", "--json", "--port", "0"],
        cwd=folder,
        env=environment(SENSORLINE_CONSUMERS__ENABLED='["index"]', **variables),
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr.log").open("w"),
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "stderr.log").read_text()
        yield json.loads(line)["url"]
        process.terminate()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def test_the_broker_and_a_gateway_take_what_was_made(tmp_path: Path) -> None:
    programs()
    made = Secrets.in_folder(tmp_path).make()
    port = free_port()
    conf = made.mosquitto / "mosquitto.conf"
    inside = conf.read_text()
    assert re.search(r"(?m)^listener 1883 0\.0\.0\.0$", inside), "the port that compose.yaml publishes"
    assert "allow_anonymous false" in inside
    here = inside.replace("listener 1883 0.0.0.0", f"listener {port} 127.0.0.1")
    conf.write_text(re.sub(r"(?m)^plugin .*$", f"plugin {find_plugin()}", here))
    variables = {
        name: made.here(value).replace("mosquitto:1883", f"127.0.0.1:{port}")
        for name, value in services()["gateway-1"]["environment"].items()
        if name.startswith("SENSORLINE_GATEWAY__MQTT__")
    }
    assert len(variables) == 5
    with started(conf), station(tmp_path, variables) as url:
        ready = httpx.get(f"{url}/readyz").raise_for_status()
        for _ in range(100):
            if ready.json()["mqtt"] == "connected":
                break
            ready = httpx.get(f"{url}/readyz").raise_for_status()
        assert ready.json()["mqtt"] == "connected"
        key = (tmp_path / "var" / "operator.key").read_text().strip()
        done = subprocess.run(
            [PROGRAM, *services()["mqtt-accounts"]["healthcheck"]["test"][2:-1], url],
            cwd=tmp_path,
            env=environment(SENSORLINE_KEY=key, **variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"the health check of mqtt-accounts: {done.stderr}"


class _Node(BaseHTTPRequestHandler):
    """Records what it is asked; the first request finds a node that is not ready."""

    asked: list[tuple[str, str, Any]]

    def _take(self) -> None:
        login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((f"{self.command} {self.path}", login, body))
        self.send_response(503 if len(self.asked) == 1 else 400 if "/broken/" in self.path else 200)
        self.end_headers()

    do_PUT = do_POST = _take  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def node() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    asked: list[tuple[str, str, Any]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Node", (_Node,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def accounts(made: Secrets, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", DEPLOY / "compose" / "accounts.py"],
        env={"SECRETS": str(made.root), "ELASTICSEARCH": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_accounts_reach_our_indices_and_nothing_else(made: Secrets) -> None:
    with node() as (url, asked):
        done = accounts(made, url)
    assert done.returncode == 0, done.stderr
    assert {login for _, login, _ in asked} == {f"elastic:{secret(made, 'setup/elastic.password')}"}
    assert asked[0] == asked[1], "a node that is not ready is asked again"
    told = {what: body for what, _, body in asked}
    for name in ("sensorline", "operator"):
        assert told[f"PUT /_security/user/{name}"]["password"] == secret(made, f"setup/{name}.password")
    kibana = told["POST /_security/user/kibana_system/_password"]
    assert kibana == {"password": secret(made, "setup/kibana_system.password")}
    role = told["PUT /_security/role/sensorline"]
    names = Names("")
    assert set(role["indices"][0]["names"]) == {
        names.readings, names.windows, names.claims, names.sessions, names.anomalies
    }  # fmt: skip
    assert not {"all", "manage_security"} & {*role["cluster"], *role["indices"][0]["privileges"]}
    assert told["PUT /_security/user/sensorline"]["roles"] == ["sensorline"]
    reader = told["PUT /_security/role/sensorline_reader"]["indices"][0]["privileges"]
    assert reader == ["read", "view_index_metadata"]


def test_a_refusal_is_told_without_a_secret(made: Secrets) -> None:
    with node() as (url, _):
        done = accounts(made, f"{url}/broken")
    assert done.returncode == 1
    assert ": 400" in done.stderr
    for text in made.files().values():
        assert text.decode().strip() not in done.stderr
    assert os.fspath(made.root) not in done.stderr
