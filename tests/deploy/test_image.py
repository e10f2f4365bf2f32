"""The image: its file is clean, holds what it should and nothing else, and its kernels serve a read-only container."""

import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.deploy.files import COMPOSE, DEPLOY, program, services

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
STAGES = re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")
PACKAGES = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [program("hadolint"), "--strict-labels", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "hadolint ignore" not in DOCKERFILE


def test_every_image_is_pinned() -> None:
    bases = re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)
    assert len(set(bases)) == 1, "both stages have one base: what was built there runs here"
    for image in (*bases, *(each["image"] for each in services().values())):
        assert PINNED.fullmatch(image), image
    unpinned = {each["image"] for each in services().values() if "@" not in each["image"]}
    assert unpinned == {"sensorline:0.1.0", "elasticsearch:9.2.0", "kibana:9.2.0"}, "by tag, for a reason stated there"
    assert "by tag" in COMPOSE.read_text()
    assert "latest" not in COMPOSE.read_text() + DOCKERFILE


def test_the_image_is_of_this_version_and_of_the_servers_that_are_tested() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert f"sensorline:{project['version']}" in DOCKERFILE
    poms = DEPLOY.parent / "sensorline" / "servers"
    for server, image in (("kafka", "apache/kafka"), ("elasticsearch", "elasticsearch")):
        version = re.findall(r"<version>(\d+\.\d+\.\d+)</version>", (poms / f"{server}.pom.xml").read_text())[0]
        assert services()[server]["image"].startswith(f"{image}:{version}")
    assert services()["kibana"]["image"].partition(":")[2] == services()["elasticsearch"]["image"].partition(":")[2]


def test_every_package_is_copied_and_nothing_else_can_be() -> None:
    copied = {
        words[1] for words in map(str.split, re.findall(r"(?m)^COPY (?!--from).+", DOCKERFILE)) if len(words) == 3
    }
    assert copied - {"locks/run.txt"} == set(PACKAGES["packages"])
    assert IGNORED[1] == "*", "all is left out ..."
    taken = {line[1:] for line in IGNORED if line.startswith("!")}
    assert taken == {*PACKAGES["packages"], "locks/run.txt", "pyproject.toml", "README.md", "LICENSE"}, "... but these"
    for name in taken:
        assert (DEPLOY.parent / name).exists(), name


def test_the_last_stage_only_takes_what_was_made_and_runs_as_a_number() -> None:
    build, last = STAGES
    assert "--require-hashes --only-binary=:all:" in build
    assert not re.search(r"apt-get|pip |gcc|\bmake\b", last), "no compiler, no installer"
    assert re.search(r"(?m)^USER 1000:1000$", last)
    assert last.index("COPY --from=build") < last.index("USER ")
    assert re.search(r'(?m)^ENTRYPOINT \["sensorline"\]$', last)
    made = re.search(r"install --directory [^&]+?(/.+)", last.replace("\\\n", " "))
    assert made
    own = {
        v.split(":")[1]
        for s in services().values()
        if s["image"].startswith("sensorline")
        for v in s.get("volumes", ())
    }
    mounted = {path for path in own if not path.startswith(("/opt/compose", "/etc/sensorline"))}
    assert mounted <= {f"/{path}" for path in re.findall(r"(?<= /)\S+", made[0])}, "else a volume would be root's"


class _Answer(BaseHTTPRequestHandler):
    code = 200

    def do_GET(self) -> None:
        self.send_response(self.code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("answer", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_tells_a_sick_process(answer: int | None, healthy: bool) -> None:
    found = re.search(r'HEALTHCHECK .*CMD \["python", "-I", "-c", "(.*)"\]', DOCKERFILE)
    assert found
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Answer,), {"code": answer}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    try:
        if answer is None:
            server.server_close()
        else:
            thread.start()
        done = subprocess.run(
            [sys.executable, "-I", "-c", found[1]],
            env={"HEALTH_URL": f"http://127.0.0.1:{server.server_port}/healthz"},
            capture_output=True,
            timeout=30,
            check=False,
        )
    finally:
        if thread.is_alive():
            server.shutdown()
            thread.join(10)
        server.server_close()
    assert (done.returncode == 0) is healthy
    compose_check = next(s for s in services().values() if s.get("command") == ["consume", "index"])["healthcheck"]
    assert shlex.join(compose_check["test"][1:4]) == "python -I -c"
    assert compose_check["test"][4] == found[1]


def test_kernels_that_cannot_be_written_are_used_all_the_same(tmp_path: Path) -> None:
    """numba passes a cache over that it cannot write to: a container would compile at each start."""
    from consumers.detectors import _kernel

    folder = tmp_path / "kernels"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "a.nbi").write_text("compiled")
    assert _kernel._usable(str(folder)) == str(folder), "a folder that can be written is used itself"
    assert _kernel._usable(str(tmp_path / "none")) == str(tmp_path / "none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: str(path) != str(folder))  # root may write anywhere
        copy = Path(_kernel._usable(str(folder)))
    assert copy != folder
    assert (copy / "deeper" / "a.nbi").read_text() == "compiled"
    assert copy.stat().st_mode & 0o077 == 0
