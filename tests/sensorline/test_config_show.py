"""What `config show` says: every value, its origin, and never a secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from sensorline.effective import MASK, effective, masked
from telemetry import settings
from tests.sensorline.program import answer, sensorline

FILE = """
log = "kafka"
[adapters.kafka]
sasl_username = "us"
sasl_password = "hunter2"
security_protocol = "SASL_PLAINTEXT"
[gateway]
port = 1
"""


def test_the_later_source_wins_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "sensorline.toml").write_text("log_level = 'debug'\n[gateway]\nport = 1\nhost = '127.0.0.2'\n")
    shown = sensorline(
        tmp_path, "config", "show", "--origin", "--json", "--port", "3", SENSORLINE_GATEWAY__HOST="127.0.0.3"
    )
    values = answer(shown)
    assert values["gateway.port"] == {"value": 3, "origin": "flag"}
    assert values["gateway.host"] == {"value": "127.0.0.3", "origin": "environment"}
    assert values["log_level"] == {"value": "debug", "origin": "file sensorline.toml"}
    assert values["store"] == {"value": "duckdb", "origin": "default"}


def test_a_table_for_people_has_the_same(tmp_path: Path) -> None:
    shown = sensorline(tmp_path, "config", "show", "--origin", "--port", "3").stdout
    assert ["gateway.port", "3", "flag"] in [line.split() for line in shown.splitlines()]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(FILE)
    for form in ([], ["--json"], ["--origin"]):
        shown = sensorline(tmp_path, "config", "show", "--config", "s.toml", *form).stdout
        assert "hunter2" not in shown
        assert "sasl_password" in shown
        assert MASK in shown


def test_adapters_show_their_defaults() -> None:
    values = {v.path: v.value for v in effective(settings.load())}
    assert values["adapters.sqlite.synchronous"] == "FULL"


def test_values_from_the_environment_reach_an_adapter_as_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORLINE_ADAPTERS__SQLITE__APPEND_TIMEOUT_S", "7.5")
    values = {v.path: v.value for v in effective(settings.load())}
    assert values["adapters.sqlite.append_timeout_s"] == 7.5


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("adapters.x.api_key", "s", MASK),
        ("adapters.x.apikey", "s", MASK),
        ("adapters.x.sasl_password", "s", MASK),
        ("adapters.x.tokens", ["s"], MASK),
        ("adapters.x.secret", {"a": "s"}, MASK),
        ("adapters.x.secret.inner", "s", MASK),
        ("adapters.x.password", "", ""),
        ("adapters.x.password", None, None),
        ("gateway.keyfile", "/tls/key.pem", "/tls/key.pem"),
        ("adapters.x.key_bytes_max", 3, 3),
        ("adapters.x.urls", ["https://us:s@host:9200/"], [f"https://us:{MASK}@host:9200/"]),
        ("adapters.x.url", "http://host:9200", "http://host:9200"),
        ("adapters.x.options", {"password": "s", "user": "us"}, {"password": MASK, "user": "us"}),
    ],
)
def test_what_is_masked(path: str, value: Any, shown: Any) -> None:
    assert masked(path, value) == shown


def test_lists_and_truth_values_are_written_as_json() -> None:
    flags = {"store": "elasticsearch", "adapters.elasticsearch.urls": ["http://a:1"]}
    texts = {v.path: v.text for v in effective(settings.load(flags=flags))}
    assert json.loads(texts["adapters.elasticsearch.urls"]) == ["http://a:1"]
    assert texts["gateway.plain_http_anywhere"] == "false"
