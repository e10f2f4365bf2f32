"""Kafka's errors and settings, without a broker."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from pydantic import ValidationError

from telemetry.errors import LogUnavailable, Misconfigured, SensorlineError, TooLarge
from telemetry.logs import _kafka_errors as errors
from telemetry.logs import kafka
from telemetry.logs._kafka_config import MESSAGE_BYTES_MAX
from telemetry.logs._records import RECORD_BYTES_MAX


def below(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from below(sub)


def test_every_error_of_the_client_is_in_the_table_once() -> None:
    theirs = {kafka_errors.KafkaError, *below(kafka_errors.KafkaError)}
    theirs |= {kafka_errors.ConsumerStoppedError, kafka_errors.IllegalOperation}
    theirs = {cls for cls in theirs if cls.__module__.startswith("aiokafka.")}
    assert theirs == set(errors.TABLE)
    assert len(errors.TOO_LARGE) + len(errors.MISCONFIGURED) + len(errors.UNAVAILABLE) == len(errors.TABLE)


def test_what_the_client_would_retry_we_call_retryable() -> None:
    for theirs, ours in errors.TABLE.items():
        if getattr(theirs, "retriable", False):
            assert ours is LogUnavailable, theirs


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (kafka_errors.MessageSizeTooLargeError("big"), TooLarge),
        (kafka_errors.SaslAuthenticationFailed(), Misconfigured),
        (kafka_errors.TopicAuthorizationFailedError("t"), Misconfigured),
        (kafka_errors.NotEnoughReplicasError(), LogUnavailable),
        (kafka_errors.OutOfOrderSequenceNumber(), LogUnavailable),
        (ConnectionResetError("reset"), LogUnavailable),
        (TimeoutError(), LogUnavailable),
    ],
)
def test_nothing_of_theirs_gets_through(theirs: Exception, ours: type[SensorlineError]) -> None:
    with pytest.raises(ours, match=type(theirs).__name__) as caught, errors.translated("testing"):
        raise theirs
    assert "testing" in caught.value.message
    assert (caught.value.retry_after_s is not None) == (ours is LogUnavailable)


def test_an_error_of_ours_is_left_alone() -> None:
    with pytest.raises(Misconfigured, match="as it was"), errors.translated("testing"):
        raise Misconfigured("as it was")


@pytest.mark.parametrize(
    "options",
    [
        {"replication": 2, "min_insync_replicas": 3},
        {"security_protocol": "SASL_SSL"},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "u"},
        {"cafile": "ca.pem"},
        {"security_protocol": "SSL", "keyfile": "key.pem"},
        {"acks": 1},
        {"partitions": "6"},
    ],
)
def test_settings_that_do_not_belong_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kafka.Config.model_validate(options)


def test_credentials_reach_the_client_and_no_text() -> None:
    config = kafka.Config.model_validate(
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "gateway",
            "sasl_password": "secret-word",
        }
    )
    client = config.client()
    assert client["sasl_plain_password"] == "secret-word"
    assert client["sasl_mechanism"] == "SCRAM-SHA-512"
    assert isinstance(client["ssl_context"], ssl.SSLContext)
    assert client["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert client["ssl_context"].check_hostname
    assert "secret-word" not in repr(config) + str(config.model_dump())


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    with pytest.raises(Misconfigured, match="nowhere"):
        kafka.Config(security_protocol="SSL", cafile="/nowhere/ca.pem").client()


def test_the_limits_follow_the_record_bound() -> None:
    assert RECORD_BYTES_MAX < MESSAGE_BYTES_MAX
    assert kafka.Config().topic("batches") == "batches"
    assert kafka.Config(prefix="a-").topic("batches") == "a-batches"


async def test_a_broker_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        bootstrap = f"127.0.0.1:{nobody.getsockname()[1]}"
        log = kafka.KafkaLog(kafka.Config(bootstrap=bootstrap, append_timeout_s=5.0, request_timeout_s=2.0))
        with pytest.raises(LogUnavailable, match=bootstrap):
            await log.start()
        await log.close()


async def test_a_broker_that_says_nothing_is_unavailable() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        bootstrap = f"127.0.0.1:{mute.getsockname()[1]}"
        log = kafka.KafkaLog(kafka.Config(bootstrap=bootstrap, append_timeout_s=1.0, request_timeout_s=30.0))
        with pytest.raises(LogUnavailable, match=bootstrap):
            await log.start()
        await log.close()
