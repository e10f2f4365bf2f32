"""The parts of the local servers that need no server."""

import os
import re
import signal
import socket
import struct
from pathlib import Path

import pytest

from sensorline import servers
from sensorline.servers import elasticsearch, jars, java, kafka, locks, ports, processes, state
from sensorline.servers.__main__ import main
from sensorline.servers.recipes import RECIPES

SLEEP = ["/bin/sleep", "600"]


def test_a_process_is_known_by_its_start_not_its_pid(tmp_path: Path) -> None:
    pid = processes.spawn(SLEEP, tmp_path / "log")
    started = processes.identity(pid)
    assert started is not None
    assert processes.stop(pid, "another start", 5.0) is False
    assert processes.identity(pid) == started
    assert processes.stop(pid, started, 5.0) is True
    assert processes.identity(pid) is None


def test_a_paused_process_is_stopped_too(tmp_path: Path) -> None:
    pid = processes.spawn(SLEEP, tmp_path / "log")
    started = processes.identity(pid) or ""
    processes.send(pid, started, signal.SIGSTOP)
    assert processes.stop(pid, started, 5.0) is True


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = processes.spawn(["/bin/sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.05; done"], log)
    started = processes.identity(pid) or ""
    while "on" not in log.read_text():
        assert processes.identity(pid) == started
    assert processes.stop(pid, started, 0.3) is True
    assert processes.identity(pid) is None


def test_down_kills_no_process_with_a_recycled_pid(tmp_path: Path) -> None:
    state.save(tmp_path, {"kafka": state.Entry(os.getpid(), "an earlier start", 1, "1g")})
    assert servers.down(tmp_path) == []
    assert servers.status(tmp_path)["kafka"].state == "down"


def test_the_output_of_a_spawned_process_is_appended_to_its_log(tmp_path: Path) -> None:
    for word in ("one", "two"):
        pid = processes.spawn(["/bin/sh", "-c", f"echo {word} >&2"], tmp_path / "logs" / "log")
        processes.wait_gone(pid, processes.identity(pid) or "", 5.0)
    while len((tmp_path / "logs" / "log").read_text()) < 8:
        pass
    assert (tmp_path / "logs" / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("name", ["(sleep)", "(a) b (c)", "(S R)"])
def test_parse_stat_reads_past_any_name(name: str) -> None:
    rest = " ".join(str(number) for number in range(4, 22))
    assert processes.parse_stat(f"7 {name} S {rest} 4711 23 24", "boot") == "boot/4711"
    assert processes.parse_stat(f"7 {name} Z {rest} 4711 23 24", "boot") is None


def test_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    entries = {"kafka": state.Entry(7, "boot/1", 19092, "512m", {"num.partitions": "3"})}
    assert state.load(tmp_path) == {}
    state.save(tmp_path, entries)
    assert state.load(tmp_path) == entries


@pytest.mark.parametrize("text", ["", "[]", '{"kafka": {"pid": 1}}', '{"kafka": 1}'])
def test_a_state_of_another_version_is_named_not_guessed_at(tmp_path: Path, text: str) -> None:
    state.path(tmp_path).write_text(text)
    with pytest.raises(servers.ServersError, match=r"servers\.json"):
        servers.status(tmp_path)


def test_a_held_lock_is_waited_for_with_a_deadline(tmp_path: Path) -> None:
    with (
        locks.locked(tmp_path / "lock", 1.0),
        pytest.raises(servers.ServersError, match="has held"),
        locks.locked(tmp_path / "lock", 0.2),
    ):
        pass
    with locks.locked(tmp_path / "lock", 0.2):
        pass


def test_a_port_in_use_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        with pytest.raises(servers.ServersError, match=f"port {port} .* in use"):
            servers.up(tmp_path, ("kafka",), kafka_port=port)
    assert ports.is_free(ports.free_port())


def test_kafka_is_bound_to_loopback_and_the_callers_properties_win() -> None:
    made = kafka.server_properties(Path("/data"), 1, 2, {"num.partitions": "3", "message.max.bytes": "5"})
    assert made["listeners"] == "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
    assert (made["num.partitions"], made["message.max.bytes"]) == ("3", "5")
    assert (made["log.flush.interval.messages"], made["auto.create.topics.enable"]) == ("1", "false")


def test_properties_escape_what_java_would_read_otherwise() -> None:
    assert kafka.properties_text({"a": "x\\y\nz"}) == "a=x\\\\y\\nz\n"


def test_a_metadata_answer_is_read_to_its_count_of_brokers() -> None:
    assert kafka.metadata_request() == bytes.fromhex("0000000f0003000400000001ffff0000000000")
    assert kafka.brokers_in(struct.pack(">iii", 1, 0, 1) + b"rest") == 1


@pytest.mark.parametrize("name", RECIPES)
def test_nobody_on_the_port_is_not_ready(name: str) -> None:
    assert RECIPES[name].is_ready(ports.free_port()) is False


def test_elasticsearch_jars_are_in_one_place_each(tmp_path: Path) -> None:
    for name in ("lucene-core-1.jar", "netty-buffer-4.jar", "elasticsearch-9.jar", "elasticsearch-ssl-config-9.jar"):
        (tmp_path / name).touch()
    elasticsearch.arrange(tmp_path)
    assert sorted(jar.name for jar in (tmp_path / "lib").iterdir()) == ["elasticsearch-9.jar", "lucene-core-1.jar"]
    assert sorted(jar.name for jar in (tmp_path / "modules" / "transport-netty4").glob("*.jar")) == [
        "elasticsearch-ssl-config-9.jar",
        "netty-buffer-4.jar",
    ]


def test_the_module_descriptor_names_the_version_that_is_fetched() -> None:
    versions = re.findall(r"<version>([\d.]+)</version>", elasticsearch.POM.read_text())
    assert set(versions[1:]) == {elasticsearch.VERSION}  # the first is the pom's own


def test_no_committed_file_names_a_host() -> None:
    for file in Path(servers.__file__).parent.iterdir():
        if file.is_file():
            hosts = set(re.findall(r"https?://[^\s\"'{]+", file.read_text()))
            assert hosts <= {"http://maven.apache.org/POM/4.0.0", "http://127.0.0.1:19200"}, file


def fake_maven(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "mvn").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("SENSORLINE_CACHE", str(folder / "cache"))


def test_jars_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = 'for a; do case "$a" in -DoutputDirectory=*) d=${a#*=};; esac; done; mkdir -p "$d"; touch "$d/x.jar"'
    fake_maven(tmp_path, out, monkeypatch)
    said: list[str] = []
    first = jars.fetched(kafka.POM, kafka.arrange, said.append)
    assert sorted(file.name for file in first.iterdir()) == ["COMPLETE", "x.jar"]
    assert jars.fetched(kafka.POM, kafka.arrange, said.append) == first
    assert len(said) == 1


def test_a_half_fetch_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_maven(tmp_path, "echo could not resolve x; exit 1", monkeypatch)
    half = jars.jars_dir(kafka.POM, jars.cache_dir())
    half.mkdir(parents=True)
    (half / "some.jar").touch()
    with pytest.raises(servers.ServersError, match="could not resolve x"):
        jars.fetched(kafka.POM, kafka.arrange, lambda _line: None)
    assert not half.exists()


def test_without_maven_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SENSORLINE_CACHE", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("SENSORLINE_APT", raising=False)
    with pytest.raises(servers.ServersError, match="apt-get install maven"):
        jars.fetched(kafka.POM, kafka.arrange, lambda _line: None)


def test_without_a_java_runtime_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_spec", lambda _name: None)
    with pytest.raises(servers.ServersError, match=r"pip install 'sensorline\[servers\]'"):
        java.java_home()


def test_the_command_line_answers_with_a_status_not_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--home", str(tmp_path)]) == 0
    assert "nothing was started" in capsys.readouterr().out
    assert main(["down", "--home", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().out == '{"stopped": []}\n'
    state.path(tmp_path).write_text("{")
    assert main(["status", "--home", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
