"""Secrets of adapters that live in files: read at the start, never printed, never half given."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from telemetry import adapters
from telemetry.errors import Misconfigured
from telemetry.secret_files import secret_of

SECRET = "c4nary-in-a-file"
KAFKA = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "sensorline"}


def test_a_file_holds_one_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    assert secret_of(None, file, "it") == SECRET
    assert secret_of(SecretStr("direct"), None, "it") == "direct"
    assert secret_of(None, None, "it") is None


@pytest.mark.parametrize("held", [b"", b"\n", f"{SECRET}\nmore".encode(), b"\xff\xfe"], ids=repr)
def test_what_is_no_secret_is_told_without_it(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(held)
    with pytest.raises(Misconfigured) as told:
        secret_of(None, file, "adapters.x.password_file")
    assert SECRET not in str(told.value)
    assert told.value.path == "adapters.x.password_file"
    with pytest.raises(Misconfigured, match="FileNotFoundError"):
        secret_of(None, tmp_path / "none", "it")


def test_kafka_takes_its_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    module = adapters.load("telemetry.logs", "kafka")
    config = adapters.configure(module, "kafka", KAFKA | {"sasl_password_file": str(file)})
    assert config.client()["sasl_plain_password"] == SECRET  # type: ignore[attr-defined]
    assert SECRET not in repr(config)
    direct = adapters.configure(module, "kafka", KAFKA | {"sasl_password": SECRET})
    assert SECRET not in f"{direct}{direct!r}", "secrets do not print"
    for wrong in ({}, {"sasl_password": "a", "sasl_password_file": str(file)}):
        with pytest.raises(Misconfigured, match="sasl_password"):
            adapters.configure(module, "kafka", KAFKA | wrong)


async def test_elasticsearch_takes_its_secrets_from_files(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    module = adapters.load("telemetry.stores", "elasticsearch")
    for options in ({"api_key_file": str(file)}, {"username": "u", "password_file": str(file)}):
        config = adapters.configure(module, "elasticsearch", options)
        client = module._client(config)
        try:
            assert client._headers["authorization"].startswith(("ApiKey ", "Basic "))
        finally:
            await client.close()
    missing = adapters.configure(module, "elasticsearch", {"api_key_file": str(tmp_path / "none")})
    with pytest.raises(Misconfigured, match="api_key_file"):
        module._client(missing)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "k", "api_key_file": "f"},
        {"username": "u", "password": "p", "password_file": "f"},
        {"username": "u"},
        {"password_file": "f"},
        {"api_key_file": "f", "username": "u", "password_file": "f"},
    ],
    ids=str,
)
def test_elasticsearch_refuses_half_and_double(options: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        adapters.configure(adapters.load("telemetry.stores", "elasticsearch"), "elasticsearch", options)


def test_addresses_may_be_one_text_as_in_a_variable() -> None:
    module = adapters.load("telemetry.stores", "elasticsearch")
    config = adapters.configure(module, "elasticsearch", {"urls": "http://one:9200, http://two:9200"})
    assert config.urls == ("http://one:9200", "http://two:9200")  # type: ignore[attr-defined]
    with pytest.raises(Misconfigured, match="urls"):
        adapters.configure(module, "elasticsearch", {"urls": " "})
