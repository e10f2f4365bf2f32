"""What the first start makes, made for real: `make_secrets.py` as a process, into a folder of the test."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.deploy.files import DEPLOY

FOLDERS = ("setup", "elasticsearch", "kibana", "sensorline", "mqtt")


def module(name: str) -> ModuleType:
    """deploy/compose/NAME.py, which is no package."""
    spec = importlib.util.spec_from_file_location(f"deploy_{name}", DEPLOY / "compose" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@dataclass(frozen=True)
class Secrets:
    """The folders that the volumes are in a container."""

    root: Path
    mosquitto: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "Secrets":
        """Empty volumes, as compose makes them: each its user's alone."""
        made = cls(folder / "secrets", folder / "mosquitto")
        for path in (*(made.root / name for name in FOLDERS), made.mosquitto):
            path.mkdir(mode=0o700, parents=True)
        return made

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The service's own command."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-I", DEPLOY / "compose" / "make_secrets.py", *arguments],
            env={"PATH": path, "SECRETS": str(self.root), "MOSQUITTO": str(self.mosquitto)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def make(self) -> "Secrets":
        done = self.run("make")
        assert done.returncode == 0, done.stderr
        return self

    def files(self) -> dict[Path, bytes]:
        """All that there is."""
        return {f: f.read_bytes() for top in (self.root, self.mosquitto) for f in top.rglob("*") if f.is_file()}

    def here(self, text: str) -> str:
        """A path in a container as it is here."""
        return text.replace("/secrets/", f"{self.root}/").replace("/mosquitto/sensorline", str(self.mosquitto))
