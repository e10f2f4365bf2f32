"""deploy/ as its tests read it: the image, the compose file, the manifests, and the loaders of those who run them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
KUBERNETES = DEPLOY / "kubernetes"
LOADERS = Path(__file__).parent / "loaders"
PREFIX = "SENSORLINE_"
GO_WAIT_S = 280.0

Tree = dict[str, Any]


@cache
def compose() -> Tree:
    """The compose file with its merges and the defaults of its `${NAME:-default}`."""
    document: Tree = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text()))
    return document


def services() -> dict[str, Tree]:
    found: dict[str, Tree] = compose()["services"]
    return found


def ours() -> dict[str, Tree]:
    """The services that run our image."""
    return {name: each for name, each in services().items() if each["image"].startswith("sensorline:")}


def command_lines() -> dict[str, list[str]]:
    """What the image's entry point is given, by compose service, without those that run another program."""
    return {name: list(each["command"]) for name, each in ours().items() if "entrypoint" not in each}


@contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """This process with these settings and none of whoever runs the tests."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    given = {name: str(text) for name, text in variables.items() if name.startswith(PREFIX)}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]
        os.environ.update(kept)


def go() -> str:
    """The Go command; skips where there is none."""
    found = shutil.which("go")
    if found is None:
        pytest.skip("there is no Go here, in which the loaders of compose and kustomize are written")
    return found


@cache
def loader(name: str) -> Path:
    """That program of `loaders/`, built with its modules as go.sum pins them; skips where they cannot be had."""
    target = Path(os.environ.get("TMPDIR", "/tmp")) / f"sensorline-loaders-{os.getuid()}" / name
    target.parent.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [go(), "build", "-o", str(target), f"./{name}"],
        cwd=LOADERS,
        env=os.environ | {"GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=GO_WAIT_S,
        check=False,
    )
    if done.returncode:
        offline = re.search(r"dial tcp|no such host|i/o timeout|connection refused|module lookup disabled", done.stderr)
        if offline:
            pytest.skip(f"the modules cannot be had here: {done.stderr.strip()[-200:]}")
        pytest.fail(done.stderr)
    return target


@cache
def rendered(folder: str) -> tuple[Tree, ...]:
    """The manifests of a kustomization, as its own program makes them."""
    done = subprocess.run(
        [loader("kustomize"), KUBERNETES / folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


@cache
def keda_schemas() -> dict[str, Tree]:
    """KEDA's own schemas by kind, from its module; skips where it cannot be had."""
    done = subprocess.run(
        [go(), "mod", "download", "-json", "github.com/kedacore/keda/v2@v2.21.0"],
        cwd=LOADERS,
        env=os.environ | {"GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        timeout=GO_WAIT_S,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"KEDA's module cannot be had here: {done.stdout.strip()[-200:]}")
    module = json.loads(done.stdout)
    assert module["Sum"] == "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=", "another KEDA than was checked"
    schemas = {}
    for name in ("scaledobjects", "triggerauthentications"):
        file = Path(module["Dir"]) / "config" / "crd" / "bases" / f"keda.sh_{name}.yaml"
        definition = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        schemas[definition["spec"]["names"]["kind"]] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schemas


def program(name: str) -> Path:
    """A program beside this Python; skips where it is not installed."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        pytest.skip(f"{name} is not installed here")
    return found
