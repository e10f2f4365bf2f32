"""The README's promises: its commands exist and the first one does what is printed there, its examples are valid."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry import wire
from telemetry.settings import load
from tests.journey.processes import assert_four_zeros, environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def commands() -> list[list[str]]:
    """Every command line in the README, as words, without comments."""
    joined = "\n".join(blocks("sh")).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


SENSORLINE = [words for words in commands() if words[0].endswith("/sensorline")]


@pytest.mark.timeout(300)
def test_the_first_command_does_what_the_readme_says() -> None:
    command = next(words for words in commands() if words[0] == "scripts/demo")
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert_four_zeros(report)
    assert report["sent"] > 5_000
    printed = json.loads(blocks("json")[0])
    assert printed.keys() == report.keys(), "the README shows another line than the program prints"


@pytest.mark.parametrize("words", SENSORLINE, ids=lambda words: " ".join(words[1:3]))
def test_every_command_and_option_exists(words: list[str]) -> None:
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    path = [word for word in words[1:3] if not word.startswith("-")]
    program = Path(sys.executable).with_name("sensorline")
    asked = subprocess.run([program, *path, "--help"], capture_output=True, text=True, env=environment(), check=False)
    if asked.returncode:
        asked = subprocess.run(
            [program, path[0], "--help"], capture_output=True, text=True, env=environment(), check=True
        )
    for option in options:
        assert option in asked.stdout, f"{' '.join(path)} has no {option}"


def test_the_settings_are_valid(tmp_path: Path) -> None:
    engines = []
    for text in blocks("toml"):
        file = tmp_path / "sensorline.toml"
        file.write_text(text)
        settings = load(file).settings
        engines.append((settings.log, settings.store))
    assert ("kafka", "elasticsearch") in engines


def test_the_native_batch_is_valid() -> None:
    batch = wire.decode(blocks("json")[1].encode())
    assert batch.readings == 2


def test_every_file_that_is_named_is_there() -> None:
    linked = re.findall(r"\]\((?!http)([^)]+)\)", README)
    named = re.findall(r"`((?:telemetry|tests|edge|gateway|load)/[\w/.]+\.\w+)`", README)
    missing = [name for name in (*linked, *named) if "NAME" not in name and not (ROOT / name).exists()]
    assert missing == []


def test_architecture_stays_readable() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 200


def test_documents_name_no_machine_and_no_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    hosts = (
        "pypi" + ".org",
        "registry.npmjs" + ".org",
        "repo1.maven" + ".org",
        "repo.maven" + ".apache",
        "pythonhosted" + ".org",
    )
    for name in tracked:
        text = (ROOT / name).read_text(errors="replace") if (ROOT / name).is_file() else ""
        found = [word for word in (*hosts, "/work" + "/main") if word in text]
        assert found == [], f"{name} names {found}"
