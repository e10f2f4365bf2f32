"""The packaged mappings are those that the catalogue and the ports ask for."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from telemetry.reading import FIELD_NAMES
from telemetry.stores import _elastic_templates as templates
from telemetry.stores._elastic_config import Config


def test_the_packaged_mappings_are_the_generated_ones(tmp_path: Path) -> None:
    """Mend: `python -m telemetry.stores._elastic_templates`."""
    templates.write_generated(tmp_path)
    for written in sorted(tmp_path.iterdir()):
        assert json.loads(written.read_text()) == templates.load(written.stem), written.name


def test_no_field_of_a_sensor_takes_a_name_of_ours() -> None:
    ours = {"@timestamp", "device", "session", "seq", "sensor", "series", "i", "extra", "location"}
    assert not ours & set(FIELD_NAMES)
    assert set(templates.readings_mapping()["properties"]) == ours | set(FIELD_NAMES)


def test_settings_follow_the_configuration() -> None:
    config = Config(shards=3, replicas=2, refresh_interval="9s", translog_durability="async", synthetic_source=True)
    settings = templates.settings_of(config, "readings")
    assert settings["index.number_of_shards"] == 3
    assert settings["index.number_of_replicas"] == 2
    assert settings["index.refresh_interval"] == "9s"
    assert settings["index.translog.durability"] == "async"
    assert settings["index.mapping.source.mode"] == "synthetic"
    claims = templates.settings_of(config, "claims")
    assert (claims["index.number_of_shards"], "index.mapping.source.mode" in claims) == (1, False)


@pytest.mark.parametrize(
    "options",
    [
        {"urls": []},
        {"prefix": "Upper-"},
        {"prefix": "-x"},
        {"api_key": "k", "username": "u", "password": "p"},
        {"username": "u"},
        {"client_key_file": "/k"},
        {"shards": 0},
        {"refresh_interval": "often"},
        {"detail": "windows"},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(options)


def test_secrets_are_not_printed() -> None:
    assert "hunter2" not in repr(Config.model_validate({"username": "u", "password": "hunter2"}))
