"""POST /v1/owntracks as its apps use it: by password, answered so that nothing is lost and nothing repeats for ever."""

import base64
import random
from typing import Any

import httpx
import orjson
import pytest

from telemetry.errors import LogFull, LogUnavailable
from telemetry.ports import BATCHES
from tests.gateway.gateway_world import World, gateway
from tests.gateway.read_world import reading_gateway, settle

PATH = "/v1/owntracks"
TST = 1_700_000_000
IOS, ANDROID = "OwnTracks/18.4.3 CFNetwork/1408 Darwin/22.5.0", "Owntracks-Android/gms/420508000"
TOPIC = "owntracks/jane/phone"


def fix(k: int = 0, **more: Any) -> dict[str, Any]:
    return {"_type": "location", "tst": TST + k, "lat": 52.5, "lon": 13.4, "batt": 80, "bs": 1, "topic": TOPIC} | more


def password(token: str, user: str = "jane", charset: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode(charset)).decode()


async def post(world: World, body: Any, auth: str | None = None, agent: str = IOS, **headers: str) -> httpx.Response:
    """As an app sends it; with the password of the device `phone` unless told."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    said = auth or password(world.tokens["phone"])
    sent = {"user-agent": agent, "authorization": said.encode("latin-1"), "x-limit-u": "jane"}
    sent |= {"content-type": "application/json; charset=utf-8"} | headers
    async with world.client as client:
        return await client.post(PATH, content=content, headers=sent)


async def logged(world: World) -> int:
    return sum((await world.log.ends(BATCHES)).values())


@pytest.mark.parametrize("agent", [IOS, ANDROID])
async def test_a_message_is_durable_and_answered_with_nothing_for_the_app(agent: str) -> None:
    async with gateway() as world:
        token = await world.device("phone")
        for auth in (password(token), password(token, ""), password(token, "anybody"), f"Bearer {token}"):
            answer = await post(world, fix(), auth, agent)
            assert (answer.status_code, answer.content, answer.headers["content-type"]) == (
                200,
                b"[]",
                "application/json",
            )
        assert await logged(world) == 1, "told by its content: stored once"


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_any_order_and_any_repetition_is_stored_once_with_nothing_missing(store: str) -> None:
    shuffled = random.Random(3)
    async with reading_gateway(store=store) as (world, person):
        await world.device("phone")
        sent = [fix(k, lat=52.5 + k / 1000) for k in range(30)] + [
            {"_type": "transition", "tst": TST + 7, "event": "enter", "desc": "Home", "lat": 52.5, "lon": 13.4},
            {"_type": "waypoint", "tst": TST + 7, "desc": "Home", "rad": 50},
            {"_type": "lwt", "tst": TST},
        ]
        many = shuffled.choices(sent, k=60) + sent
        shuffled.shuffle(many)
        for message in many:
            assert (await post(world, message)).status_code == 200
        world.services.intake._memory._hashes.clear()  # a gateway that knows nothing of before
        for message in shuffled.sample(sent, 20):
            assert (await post(world, message)).status_code == 200
        await settle(world)
        await settle(world)
        (session,) = (await person.get("/v1/completeness", device="phone")).json()["sessions"]
        assert (session["session"], session["numbered"]) == ("owntracks-2023-11-14", False)
        assert (session["missing_batches"], session["missing"], session["received_batches"]) == (0, [], 32)
        assert session["received_readings"] == 62
        assert session["duplicate_batches"] == await logged(world) - 32
        span = {"device": "phone", "from_": TST * 10**9, "to": (TST + 60) * 10**9}
        columns = (await person.get("/v1/readings", sensor="location", **span)).json()["columns"]
        assert columns["t"] == [(TST + k) * 10**9 for k in range(30)]
        assert columns["latitude"] == [52.5 + k / 1000 for k in range(30)]
        words = (await person.get("/v1/readings", sensor="annotation", **span)).json()["columns"]
        assert sorted(words["text"]) == ["enter Home", "waypoint Home"]
        claims = (await person.get("/v1/claims", device="phone")).json()["claims"]
        assert len({c["seq"] for c in claims}) == 32


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b"{", 400, None),
        (fix(lat=91), 422, "$.lat"),
        (fix(tst="x"), 422, "$.tst"),
        ([], 422, "$"),
        (b"x" * 2_000_000, 413, None),
    ],
)
async def test_what_is_wrong_is_told_but_taken_off_androids_queue(body: Any, status: int, path: str | None) -> None:
    async with gateway() as world:
        await world.device("phone")
        told = await post(world, body)
        assert (told.status_code, told.json().get("path")) == (status, path)
        quiet = await post(world, body, agent=ANDROID)
        assert (quiet.status_code, quiet.content) == (200, b"[]")
        assert quiet.headers["sensorline-error"] == {400: "malformed", 413: "too_large", 422: "invalid"}[status]
        assert await logged(world) == 0


@pytest.mark.parametrize("agent", [IOS, ANDROID])
async def test_credentials_and_encryption_are_told_to_both(agent: str) -> None:
    async with gateway() as world:
        await world.device("phone")
        for auth in (password("sl_wrong"), "Basic !!!", "Basic " + "A" * 5_000, "Basic QQ==", "Basic \xff", "Digest x"):
            refused = await post(world, fix(), auth, agent)
            assert refused.status_code == 401, auth
            assert refused.headers["www-authenticate"].startswith("Basic")
        key = await world.services.enrolment.add_operator("o", "operator")
        assert (await post(world, fix(), password(key), agent)).status_code == 403
        encrypted = await post(world, {"_type": "encrypted", "data": "aGFsbG8="}, agent=agent)
        assert encrypted.status_code == 415
        assert "encryption key" in encrypted.json()["detail"]
        assert (await post(world, fix(), agent=agent, **{"content-type": "text/plain"})).status_code == 415


@pytest.mark.parametrize("agent", [IOS, ANDROID])
async def test_what_passes_is_a_503_for_a_429_would_empty_a_queue(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(limits={"requests_per_s": 0.001, "requests_burst": 1}) as world:
        await world.device("phone")
        assert (await post(world, fix(), agent=agent)).status_code == 200
        limited = await post(world, fix(1), agent=agent)
        assert (limited.status_code, limited.json()["status"]) == (503, 503)
        assert int(limited.headers["retry-after"]) >= 1
    async with gateway() as world:
        await world.device("phone")
        for error in (LogUnavailable("gone"), LogFull("full")):

            async def fails(*_: object, error: Exception = error) -> None:
                raise error

            monkeypatch.setattr(world.log, "append", fails)
            assert (await post(world, fix(), agent=agent)).status_code == 503


async def test_a_phones_own_topic_is_pinned_to_its_token() -> None:
    async with gateway() as world:
        await world.device("phone")
        assert (await post(world, fix())).status_code == 200
        event = {"_type": "transition", "tst": TST, "event": "enter", "topic": f"{TOPIC}/event"}
        assert (await post(world, event)).status_code == 200
        assert (await post(world, {k: v for k, v in fix(2).items() if k != "topic"})).status_code == 200
        other = await post(world, fix(3, topic="owntracks/joe/phone"))
        assert other.status_code == 403
        assert "rotate the token" in other.json()["detail"]
        assert (await post(world, {"_type": "lwt", "topic": "owntracks/joe/phone"})).status_code == 403
        assert await logged(world) == 3


async def test_an_empty_body_is_nothing_but_needs_the_password() -> None:
    async with gateway() as world:
        await world.device("phone")
        answer = await post(world, b"")
        assert (answer.status_code, answer.content) == (200, b"[]")
        assert (await post(world, b"", password("sl_wrong"))).status_code == 401


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
async def test_a_user_with_an_umlaut_is_any_user_too(charset: str) -> None:
    """Android's HTTP library encodes both in Latin-1, others in UTF-8."""
    async with gateway() as world:
        token = await world.device("phone")
        assert (await post(world, fix(), password(token, "jürgen", charset), ANDROID)).status_code == 200


async def test_another_method_is_refused() -> None:
    async with gateway() as world, world.client as client:
        answer = await client.get(PATH)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
