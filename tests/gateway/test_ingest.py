"""What comes in: who may send, what is refused and how, and that a 2xx is in the log."""

import asyncio
import gzip
import json

import orjson
import pytest
import zstandard

from telemetry.errors import LogUnavailable
from telemetry.ports import AUDIT, DEVICES
from tests.gateway.gateway_world import World, batch, bearer, gateway, message, stored

NATIVE, PHONE = "/v1/batches", "/v1/sensor-logger"


async def test_a_batch_is_in_the_log_when_it_is_acknowledged() -> None:
    async with gateway() as world:
        answer = await world.post(NATIVE, batch("pi", 7), await world.device("pi"))
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "stored", "device": "pi", "session": "s", "seq": 7, "readings": 2,
            "rejected": {}, "duplicate": False,
        }  # fmt: skip
        (entry,) = await stored(world.log)
        assert (entry.key, entry.headers["seq"], entry.headers["readings"]) == ("pi", "7", "2")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_compressed_bodies(encoding: str) -> None:
    async with gateway() as world:
        body = batch("pi")
        packed = gzip.compress(body, mtime=0) if encoding == "gzip" else zstandard.compress(body)
        headers = {"content-encoding": encoding}
        assert (await world.post(NATIVE, packed, await world.device("pi"), **headers)).status_code == 200


async def test_a_phone_is_answered_for_its_token_s_device() -> None:
    async with gateway() as world:
        token = await world.device("phone", platform="android")
        answer = await world.post(PHONE, message("app-id", 3), token)
        assert answer.status_code == 200
        assert answer.json()["device"] == "phone"
        assert answer.json()["readings"] == 2
        push = orjson.dumps({"messageId": 0, "sessionId": "x", "deviceId": "app-id", "payload": [{"name": "test"}]})
        assert (await world.post(PHONE, push, token)).json() == {"status": "ok", "stored": 0}
        assert len(await stored(world.log)) == 1


async def test_a_phone_s_bad_readings_are_counted_by_reason() -> None:
    async with gateway() as world:
        token = await world.device("phone")
        whole = json.loads(message("a", n=3))
        whole["payload"][1]["time"] = "yesterday"
        answer = await world.post(PHONE, orjson.dumps(whole), token)
        assert (answer.json()["readings"], answer.json()["rejected"]) == (2, {"bad_time": 1})


@pytest.mark.parametrize(
    ("token", "says"),
    [(None, "no Authorization"), ("sl_wrong", "not known"), ("", "not 'Bearer"), ("x" * 5000, "not known")],
)
async def test_unknown_tokens(token: str | None, says: str) -> None:
    async with gateway() as world:
        native = await world.post(NATIVE, batch("pi"), token)
        assert (native.status_code, native.headers["www-authenticate"]) == (401, "Bearer")
        assert native.headers["content-type"] == "application/problem+json"
        assert native.json()["type"] == "urn:sensorline:error:unauthorised"
        phone = await world.post(PHONE, message("a"), token)
        assert (phone.status_code, phone.headers["content-type"]) == (499, "text/plain; charset=utf-8")
        assert says in native.json()["detail"]
        assert says in phone.text
        assert await stored(world.log) == []


async def test_another_device_s_id_is_refused_and_nothing_is_stored() -> None:
    async with gateway() as world:
        token = await world.device("pi")
        await world.device("other")
        answer = await world.post(NATIVE, batch("other"), token)
        assert (answer.status_code, answer.json()["path"]) == (403, "$.device")
        assert await stored(world.log) == []


async def test_the_first_phone_is_pinned_until_the_token_is_rotated() -> None:
    async with gateway() as world:
        token = await world.device("phone")
        assert (await world.post(PHONE, message("first", 0), token)).status_code == 200
        refused = await world.post(PHONE, message("second", 1), token)
        assert refused.status_code == 499
        assert "rotate" in refused.text
        assert (await world.post(PHONE, message("first", 2), token)).status_code == 200
        rotated = await world.services.enrolment.rotate("phone", overlap_s=60)
        assert (await world.post(PHONE, message("second", 3), rotated.token)).status_code == 200
        assert [e.headers["seq"] for e in await stored(world.log)] == ["0", "2", "3"]


async def test_an_operator_s_key_may_not_send() -> None:
    async with gateway() as world:
        key = await world.services.enrolment.add_operator("boss", "admin")
        assert (await world.post(NATIVE, batch("pi"), key)).status_code == 403


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (batch("pi").replace(b"9.81", b"NaN"), {}, 422),
        (batch("pi").replace(b"9.81", b"1e400"), {}, 422),
        (batch("pi").replace(b"9.81", b"true"), {}, 422),
        (batch("pi", x=1e39), {}, 422),
        (b"{", {}, 400),
        (b"", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[]", {}, 422),
        (b"[" * 100_000, {}, 422),
        (batch("pi"), {"content-type": "text/csv"}, 415),
        (batch("pi"), {"content-encoding": "br"}, 415),
        (batch("pi"), {"content-encoding": "gzip"}, 400),
        (gzip.compress(batch("pi"), mtime=0)[:-5], {"content-encoding": "gzip"}, 400),
        (batch("pi", n=20_001), {}, 413),
        (b" " * (2**20 + 1), {}, 413),
        (gzip.compress(b" " * (9 * 2**20), mtime=0), {"content-encoding": "gzip"}, 413),
    ],
    ids=lambda v: repr(v)[:40],
)  # fmt: skip
async def test_what_is_refused(body: bytes, headers: dict[str, str], status: int) -> None:
    async with gateway() as world:
        token = await world.device("pi")
        answer = await world.post(NATIVE, body, token, **headers)
        assert answer.status_code == status
        assert answer.json()["status"] == status
        shown = await world.post(PHONE, body.replace(b"series", b"payload"), token, **headers)
        assert shown.status_code == 499
        assert shown.text
        assert await stored(world.log) == []


async def test_content_type_may_be_missing_or_have_a_charset() -> None:
    async with gateway() as world:
        token = await world.device("pi")
        async with world.client as client:
            bare = {"authorization": f"Bearer {token}"}
            assert (await client.post(NATIVE, content=batch("pi", 1), headers=bare)).status_code == 200
            utf8 = bare | {"content-type": "application/json; charset=utf-8"}
            assert (await client.post(NATIVE, content=batch("pi", 2), headers=utf8)).status_code == 200
            assert (await client.get(NATIVE, headers=utf8)).status_code == 405
            assert (await client.get(NATIVE, headers=utf8)).headers["allow"] == "POST"


async def test_sent_twice_is_said_to_be_a_duplicate_and_appended_once() -> None:
    async with gateway() as world:
        token = await world.device("pi")
        first = await world.post(NATIVE, batch("pi"), token)
        again = await world.post(NATIVE, batch("pi"), token)
        assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
        other = await world.post(NATIVE, batch("pi", x=2.0), token)
        assert other.status_code == 409
        assert len(await stored(world.log)) == 1


async def test_two_alike_at_once_are_both_acknowledged() -> None:
    async with gateway() as world:
        token = await world.device("pi")
        answers = await asyncio.gather(*(world.post(NATIVE, batch("pi"), token) for _ in range(8)))
        assert {a.status_code for a in answers} == {200}
        assert len({e.headers["hash"] for e in await stored(world.log)}) == 1


async def test_what_the_log_did_not_take_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world:
        token = await world.device("pi")
        append = world.log.append

        async def fails(*_: object) -> None:
            raise LogUnavailable("gone", retry_after_s=3)

        monkeypatch.setattr(world.log, "append", fails)
        for path, body in ((NATIVE, batch("pi")), (PHONE, message("a"))):
            answer = await world.post(path, body, token)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
            assert answer.json()["retry_after_s"] == 3
        monkeypatch.setattr(world.log, "append", append)
        assert (await world.post(NATIVE, batch("pi"), token)).json()["duplicate"] is False


async def test_a_log_that_hangs_costs_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(append_wait_s=0.05) as world:
        token = await world.device("pi")

        async def hangs(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(world.log, "append", hangs)
        answer = await world.post(NATIVE, batch("pi"), token)
        assert answer.json()["type"] == "urn:sensorline:error:log_unavailable"
        assert world.services.intake.in_flight.left_bytes == world.services.intake.limits.in_flight_bytes_max


async def test_a_flood_is_slowed_and_others_are_not() -> None:
    async with gateway(limits={"requests_per_s": 1.0, "requests_burst": 3}) as world:
        flood, calm = await world.device("flood"), await world.device("calm")
        statuses = [await world.post(NATIVE, batch("flood", k), flood) for k in range(6)]
        assert [a.status_code for a in statuses] == [200, 200, 200, 429, 429, 429]
        assert int(statuses[-1].headers["retry-after"]) >= 1
        assert (await world.post(NATIVE, batch("calm"), calm)).status_code == 200
        shown = await world.post(PHONE, message("a"), flood)
        assert shown.status_code == 429


async def test_bytes_in_flight_are_bounded() -> None:
    async with gateway(limits={"body_bytes_max": 4096, "in_flight_bytes_max": 8192}) as world:
        token = await world.device("pi")
        with world.services.intake.in_flight.hold("other") as held:
            held.grow(8000)
            answer = await world.post(NATIVE, batch("pi", n=50), token)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await world.post(NATIVE, batch("pi", n=50), token)).status_code == 200


async def test_a_gateway_that_may_have_missed_a_revocation_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world:
        token = await world.device("pi")
        monkeypatch.setattr(world.table, "age_s", lambda: 5.5)
        for path, body in ((NATIVE, batch("pi")), (PHONE, message("a"))):
            answer = await world.post(path, body, token)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:sensorline:error:not_ready")
        assert await stored(world.log) == []


async def test_a_deleted_and_enrolled_again_device_is_a_new_one() -> None:
    """What was acknowledged before the deletion is gone: the same batch is no duplicate of it."""
    async with gateway() as world:
        old = await world.device("pi")
        await world.post(NATIVE, batch("pi"), old)
        await world.services.enrolment.delete("pi")
        assert (await world.post(NATIVE, batch("pi", 1), old)).status_code == 401
        new = await world.device("pi")
        answer = await world.post(NATIVE, batch("pi"), new)
        assert answer.json()["duplicate"] is False
        first, second = await stored(world.log)
        registry = world.services.registry
        assert registry.is_deleted("pi", int(first.headers["received"]))
        assert not registry.is_deleted("pi", int(second.headers["received"]))


CANARY = "sl_CANARY-0123456789-abcdefghijklmnopqrstuvwxyz"


async def test_secrets_show_nowhere(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in errors, logs, metrics, the audit trail or the registry's topic, even when something breaks."""
    caplog.set_level(0)
    async with gateway() as world:
        token = await world.device("pi")
        seen = [(await world.post(path, b"{", CANARY)).text for path in (NATIVE, PHONE)]
        async with world.client as client:
            key = await world.services.enrolment.add_operator("boss", "admin")
            made = await client.post("/v1/devices", json={"device": "x"}, headers=bearer(key))
            made_key = await client.post("/v1/operators", json={"name": "v", "role": "viewer"}, headers=bearer(key))
            secrets = [CANARY, token, key, made.json()["token"], made_key.json()["key"]]
            seen += [(await client.get("/v1/operators", headers=bearer(who))).text for who in (CANARY, token, key)]
            seen.append((await client.post("/v1/devices", json={"token": CANARY}, headers=bearer(key))).text)

            async def breaks(*_: object) -> None:
                raise RuntimeError("broken")

            monkeypatch.setattr(world.services.intake, "_take", breaks)
            broken = await client.post(NATIVE, content=b"{}", headers=bearer(token))
            assert broken.status_code == 500
            seen.append(broken.text)
        from telemetry import metrics

        seen += [metrics.render().decode(), caplog.text]
        for topic in (AUDIT, DEVICES):
            seen += [e.key + str(e.value) + str(e.headers) for e in await stored(world.log, topic)]
        assert "broken" in caplog.text
        everything = "\n".join(seen)
        assert [s for s in secrets if s in everything] == []


async def test_world_uses_the_real_app() -> None:
    async with gateway() as world:
        assert isinstance(world, World)
        async with world.client as client:
            assert (await client.get("/nothing")).json()["status"] == 404
