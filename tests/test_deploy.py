"""What a person applies is valid: settings that no program would take help nobody."""

from pathlib import Path

import pytest

from telemetry import adapters
from telemetry.settings import load

DEPLOY = Path(__file__).parent.parent / "deploy"


def test_the_distributed_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORLINE_ADAPTERS__KAFKA__SASL_PASSWORD", "from the environment")
    monkeypatch.setenv("SENSORLINE_ADAPTERS__ELASTICSEARCH__API_KEY", "from the environment")
    settings = load(DEPLOY / "distributed.toml").settings
    for port, name in (("telemetry.logs", settings.log), ("telemetry.stores", settings.store)):
        config = adapters.configure(adapters.load(port, name), name, settings.adapter(name))
        assert "from the environment" not in str(config), "secrets do not print"
