"""compose.yaml: valid to compose's own loader, hardened everywhere, in settings and words that the program knows."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command

from sensorline import roster
from sensorline.cli import app
from telemetry import adapters
from telemetry.settings import load
from tests.deploy.files import (
    COMPOSE,
    PREFIX,
    Tree,
    command_lines,
    compose,
    environment_of,
    loader,
    ours,
    services,
)

README = (COMPOSE.parent / "README.md").read_text()
SERVICES = sorted(services())
ONCE = {"secrets", "accounts"}
ROUTES = {"/healthz", "/readyz"}


@pytest.fixture(scope="module")
def loaded() -> Tree:
    """As compose itself reads it."""
    done = subprocess.run([loader("compose"), COMPOSE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    document: Tree = json.loads(done.stdout)
    return document


def test_compose_itself_takes_it_and_reads_what_these_tests_read(loaded: Tree) -> None:
    assert loaded["services"].keys() == services().keys()
    for name, each in loaded["services"].items():
        mine = services()[name]
        assert each["image"] == mine["image"]
        assert each.get("environment", {}) == {k: str(v) for k, v in mine.get("environment", {}).items()}, name


def test_the_image_is_built_once_and_before_it_is_needed(loaded: Tree) -> None:
    """Each service that says `build` is a target of its own, and on a new machine the second export of a tag fails."""
    found = loaded["services"]
    (builder,) = [name for name, each in found.items() if "build" in each]
    build = found[builder]["build"]
    assert (Path(build["context"]) / build["dockerfile"]).resolve() == (COMPOSE.parent / "Dockerfile").resolve()
    for name in ours():
        assert found[name]["image"] == found[builder]["image"]
        assert found[name]["pull_policy"] == "never", "no registry is asked for what is made here"
        assert name == builder or builder in _before(found, name), f"`up {name}` would not build"


def _before(found: Tree, name: str) -> set[str]:
    """All that starts before it."""
    direct = set(found[name].get("depends_on", {}))
    return direct.union(*(_before(found, other) for other in direct))


def test_compose_refuses_a_word_it_does_not_know(tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text().replace("    stop_grace_period", "    stop_grace_perio", 1))
    done = subprocess.run([loader("compose"), broken], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "stop_grace_perio" in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_as_little_as_it_can(name: str) -> None:
    each = services()[name]
    assert re.fullmatch(r"[1-9]\d*:\d+", each["user"]), "a number, not root"
    assert each["read_only"] is True
    assert each["cap_drop"] == ["ALL"]
    assert "cap_add" not in each
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert not each.keys() & {"privileged", "pid", "ipc", "devices", "env_file"}
    limits = each["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert each["logging"]["options"]["max-size"]
    assert each["restart"] == ("no" if name in ONCE else "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_or_awaited(name: str) -> None:
    check = services()[name]["healthcheck"]
    if name in ONCE:
        waiting = [e for e in services().values() if name in e.get("depends_on", {})]
        assert check == {"disable": True}
        assert waiting
        assert all(e["depends_on"][name] == {"condition": "service_completed_successfully"} for e in waiting)
    else:
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert check["interval"]
        assert check["timeout"]
    for other, condition in services()[name].get("depends_on", {}).items():
        assert condition["condition"] == ("service_completed_successfully" if other in ONCE else "service_healthy")


def test_what_the_health_checks_ask_is_served() -> None:
    asked = {
        each["environment"]["HEALTH_URL"] for each in ours().values() if "HEALTH_URL" in each.get("environment", {})
    }
    assert asked
    for url in asked:
        address, _, path = url.removeprefix("http://").partition("/")
        assert address == "127.0.0.1:8080"
        assert f"/{path}" in ROUTES


def test_every_port_is_on_loopback_unless_told() -> None:
    ports = [port for each in services().values() for port in each.get("ports", ())]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)
    assert COMPOSE.read_text().count("${BIND_ADDRESS:-127.0.0.1}:") == len(ports)
    exposed = {name for name, each in services().items() if each.get("ports")}
    assert exposed == {"gateway-1", "gateway-2", "kibana", "mosquitto"}, "neither the log nor the store is"


def test_only_who_has_a_port_or_tells_people_can_leave() -> None:
    inside = {name for name, each in compose()["networks"].items() if each.get("internal")}
    assert inside == {"log", "store", "mqtt"}
    for name, each in services().items():
        out = set(each.get("networks", ())) - inside
        assert bool(out) is bool(each.get("ports") or name == "alert"), name
    assert services()["secrets"]["network_mode"] == "none"


def test_every_volume_and_network_exists_and_is_used() -> None:
    used = {volume.split(":")[0] for each in services().values() for volume in each.get("volumes", ())}
    named = {volume for volume in used if not volume.startswith((".", "/"))}
    assert named == set(compose()["volumes"])
    for path in used - named:
        assert (COMPOSE.parent / path).exists(), path
    assert {n for each in services().values() for n in each.get("networks", ())} == set(compose()["networks"])


def test_who_loads_a_library_from_tmp_may() -> None:
    """Docker mounts a tmpfs noexec: Kafka could not load zstd and took no batch, nor Elasticsearch its own library."""
    for name in ("kafka", "elasticsearch"):
        (options,) = [t.partition(":")[2] for t in services()[name]["tmpfs"] if t.startswith("/tmp:")]
        assert "exec" in options.split(","), name


def test_kafkas_log_of_collections_does_not_fill_its_tmp() -> None:
    assert services()["kafka"]["environment"]["LOG_DIR"].startswith("/tmp/")
    assert "-loggc" not in services()["kafka"]["environment"]["EXTRA_ARGS"], "ten files of 100 MB, in memory"


def test_no_secret_is_in_the_file() -> None:
    for name, each in services().items():
        for variable, value in each.get("environment", {}).items():
            if re.search(r"(?i)password|secret|token|api_?key", variable):
                assert re.search(r"(?i)_file$", variable), f"{name}: {variable} is to come from a file"
                folder = str(value).rpartition("/")[0]
                mounts = {volume.split(":")[1]: volume for volume in each["volumes"]}
                assert folder in mounts, f"{name} has no {folder}"
    assert not re.search(r"(?i)changeme|hunter|password:\s*\S*[a-z]{4}", COMPOSE.read_text())


def test_secrets_go_to_who_needs_them_and_cannot_be_changed_there() -> None:
    holders: dict[str, set[str]] = {}
    for name, each in services().items():
        for volume in each.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("secrets-"):
                holders.setdefault(source, set()).add(name)
                assert rest.endswith(":ro") or name == "secrets", f"{name} may write {source}"
    gateways = {"gateway-1", "gateway-2"}
    consumers = {"index", "ledger", "detect", "anomalies", "windows", "alert"}
    assert {source: names - {"secrets"} for source, names in holders.items()} == {
        "secrets-setup": {"accounts"},
        "secrets-elasticsearch": {"elasticsearch"},
        "secrets-kibana": {"kibana"},
        "secrets-sensorline": gateways | consumers,
        "secrets-mqtt": gateways | {"mqtt-accounts"},
    }


def parsed(words: list[str]) -> list[str]:
    """Parse as the program does, without doing anything; fails on a word or an option that it does not know."""
    context: Any = get_command(app).make_context("sensorline", list(words))
    path = []
    while hasattr(context.command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        path.append(name)
    return path


@pytest.mark.parametrize("name", sorted(command_lines()))
def test_the_program_knows_each_command_line(name: str) -> None:
    words = command_lines()[name]
    assert words[: len(parsed(words))] == parsed(words)


@pytest.mark.parametrize("words", [["consume", "no-such"], ["gateway", "--no-such"], ["mqtt", "no-such"]], ids=" ".join)
def test_the_program_refuses_what_it_does_not_know(words: list[str]) -> None:
    with pytest.raises(typer.BadParameter.__mro__[1]):
        parsed(words)


def test_the_readme_installs_into_kibana_from_a_service_that_can() -> None:
    readme = README.replace("\\\n", " ")
    (found,) = re.findall(r"run --rm --entrypoint sensorline (\S+) +(kibana .+)", readme)
    name, words = found[0], found[1].split()
    assert parsed(words) == ["kibana", "install"]
    options = dict(pairwise(words))
    host = options["--url"].removeprefix("http://").partition(":")[0]
    assert set(services()[name]["networks"]) & set(services()[host]["networks"]), f"{name} cannot reach {host}"
    mounts = [volume.split(":")[1] for volume in services()[name]["volumes"]]
    assert str(Path(options["--password-file"]).parent) in mounts


def test_what_an_upgrade_removes_are_volumes_with_no_data() -> None:
    (found,) = re.findall(r"docker volume rm ([^`]+)", README)
    removed = {name.removeprefix(f"{compose()['name']}_") for name in found.split()}
    assert removed == {name for name in compose()["volumes"] if name.endswith("-config")}


def test_every_consumer_runs() -> None:
    run = {words[1] for words in command_lines().values() if words[0] == "consume"}
    assert run == set(roster.ROLES)
    behind = {name: services()[name].get("profiles") for name in run}
    assert behind == {**dict.fromkeys(run), "windows": ["windows"], "alert": ["alert"]}


@pytest.mark.parametrize("name", sorted(command_lines()))
def test_every_setting_exists_and_fits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    variables = services()[name].get("environment", {})
    assert any(variable.startswith(PREFIX) for variable in variables)
    with environment_of(variables):
        settings = load().settings
    assert (settings.log, settings.store) == ("kafka", "elasticsearch") or name == "mqtt-accounts"
    for port, adapter in (("telemetry.logs", settings.log), ("telemetry.stores", settings.store)):
        adapters.configure(adapters.load(port, adapter), adapter, settings.adapter(adapter))
    if name.startswith("gateway"):
        assert settings.gateway.host == "0.0.0.0"
        assert settings.gateway.port == 8080
    if words := [w for w in command_lines()[name] if w == "consume"]:
        assert words
        assert settings.consumers.health_port == 8080
        assert settings.consumers.health_host == "127.0.0.1"
    if name == "windows":
        assert settings.windows.enabled


def test_who_talks_to_whom_shares_a_network() -> None:
    found = 0
    for name in command_lines():
        each = services()[name]
        text = json.dumps([each.get("environment", {}), each["command"], each["healthcheck"]])
        for host in set(re.findall(r"\b([a-z][a-z0-9-]+):\d{4}\b", text)) - {"localhost"}:
            assert host in services(), f"{name} talks to {host}"
            assert set(each["networks"]) & set(services()[host]["networks"]), f"{name} cannot reach {host}"
            found += 1
    assert found >= 20


def test_kibanas_address_of_elasticsearch_is_its_service() -> None:
    from tests.deploy.secrets_made import module

    settings = yaml.safe_load(
        module("make_secrets").KIBANA.format(password="p", security_key="a", objects_key="b", reporting_key="c")
    )
    host = settings["elasticsearch.hosts"][0].removeprefix("http://").partition(":")[0]
    assert set(services()[host]["networks"]) & set(services()["kibana"]["networks"])
    assert settings["elasticsearch.username"] == "kibana_system", "never the superuser"


def test_kafkas_settings_are_those_that_the_tests_run_with() -> None:
    """What an acknowledgement rests on is the same there."""
    from sensorline.servers import kafka

    tested = kafka.server_properties(Path("/data"), 9092, 9093, {})
    given = {
        variable.removeprefix("KAFKA_").lower().replace("_", "."): value
        for variable, value in services()["kafka"]["environment"].items()
        if variable.startswith("KAFKA_") and variable != "KAFKA_HEAP_OPTS"
    }
    own = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}  # where, not how
    for name, value in given.items():
        if name not in own:
            assert tested.get(name) == value, name
    for name in ("log.flush.interval.messages", "message.max.bytes", "auto.create.topics.enable"):
        assert name in given
