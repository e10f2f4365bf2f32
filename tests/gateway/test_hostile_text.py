"""The big list of naughty strings in every text field of every dialect: refused, or found again unchanged."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from telemetry.batch import is_name
from tests.gateway.gateway_world import T0, World, bearer, gateway
from tests.gateway.hostile import needs_strings, strings
from tests.gateway.read_world import Person, settle

UNLIMITED = {"requests_per_s": 1e6, "requests_burst": 1_000_000}
PROTECTED = ("/v1/devices", "/v1/stats", "/metrics")
Make = Callable[[str, int], Any]


def series(**changed: Any) -> dict[str, Any]:
    return {"sensor": "battery", "t0": T0, "dt": [0], "values": {"level": [0.5]}} | changed


def native(k: int, **changed: Any) -> dict[str, Any]:
    return {"v": 1, "device": "pi", "session": "s", "seq": k, "series": [series()]} | changed


def phone(k: int, reading: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"messageId": k, "sessionId": "s", "deviceId": "d", "payload": [{"time": T0} | reading]} | changed


BATTERY = {"name": "battery", "values": {"batteryLevel": 0.5, "batteryState": "full"}}

# field -> (how a message with the text there looks, the sensor and column in which it is found again)
KEPT: dict[str, tuple[str, Make, str, str]] = {
    "native text": (
        "/v1/batches",
        lambda text, k: native(k, series=[series(values={"state": [text]})]),
        "battery",
        "state",
    ),
    "native annotation": (
        "/v1/batches",
        lambda text, k: native(k, series=[series(sensor="annotation", values={"text": [text]})]),
        "annotation",
        "text",
    ),
    "native extra": (
        "/v1/batches",
        lambda text, k: native(k, series=[series(extra=[{"x": text}])]),
        "battery",
        "extra",
    ),
    "native extra of a sensor unknown": (
        "/v1/batches",
        lambda text, k: native(k, series=[series(sensor="own", values={}, extra=[{"x": [text]}])]),
        "own",
        "extra",
    ),
    "native extra's name": (
        "/v1/batches",
        lambda text, k: native(k, series=[series(extra=[{text: 1}])]),
        "battery",
        "extra",
    ),
    "phone text": (
        "/v1/sensor-logger",
        lambda text, k: phone(k, {"name": "battery", "values": {"batteryState": text}}),
        "battery",
        "state",
    ),
    "phone annotation": (
        "/v1/sensor-logger",
        lambda text, k: phone(k, {"name": "annotation", "values": {"text": text}}),
        "annotation",
        "text",
    ),
    "phone field unknown": (
        "/v1/sensor-logger",
        lambda text, k: phone(k, {"name": "battery", "values": {"batteryLevel": 0.5, "ownField": text}}),
        "battery",
        "extra",
    ),
    "phone sensor unknown": (
        "/v1/sensor-logger",
        lambda text, k: phone(k, {"name": "own sensor", "values": {"ssid": text}}),
        "ownsensor",
        "extra",
    ),
}

# fields that name something: only what is a name may pass, and it passes unchanged
NAMES: dict[str, tuple[str, Make]] = {
    "native device": ("/v1/batches", lambda text, k: native(k, device=text)),
    "native session": ("/v1/batches", lambda text, k: native(k, session=text)),
    "native sensor": ("/v1/batches", lambda text, k: native(k, series=[series(sensor=text, values={}, extra=[{}])])),
    "native field": ("/v1/batches", lambda text, k: native(k, series=[series(values={text: [1]})])),
    "native unknown key": ("/v1/batches", lambda text, k: native(k) | {text: 1}),
    "native reason": ("/v1/batches", lambda text, k: native(k, series=[], dropped={"readings": 1, "reason": text})),
    "phone session": ("/v1/sensor-logger", lambda text, k: phone(k, BATTERY, sessionId=text)),
    "phone device": ("/v1/sensor-logger", lambda text, k: phone(k, BATTERY, deviceId=text)),
    "phone sensor": ("/v1/sensor-logger", lambda text, k: phone(k, {"name": text, "values": {"x": 1}})),
    "phone field": ("/v1/sensor-logger", lambda text, k: phone(k, {"name": "battery", "values": {text: 1}})),
    "phone unknown key": ("/v1/sensor-logger", lambda text, k: phone(k, BATTERY) | {text: 1}),
}


def fix(k: int, **changed: Any) -> dict[str, Any]:
    return {"_type": "location", "tst": T0 // 10**9 + k, "lat": 1, "lon": 2} | changed


def pack(k: int, **changed: Any) -> list[dict[str, Any]]:
    return [{"n": "own", "t": T0 // 10**9 + k, "v": 1} | changed]


NAMES |= {
    "owntracks type": ("/v1/owntracks", lambda text, k: fix(k, _type=text)),
    "owntracks topic": ("/v1/owntracks", lambda text, k: fix(k, topic=text)),
    "owntracks unknown key": ("/v1/owntracks", lambda text, k: fix(k) | {text: 1}),
    "owntracks connection": ("/v1/owntracks", lambda text, k: fix(k, conn=text)),
    "senml name": ("/v1/senml", lambda text, k: pack(k, n=text)),
    "senml base name": ("/v1/senml", lambda text, k: pack(k, bn=text)),
    "senml unit": ("/v1/senml", lambda text, k: pack(k, u=text)),
    "senml unknown key": ("/v1/senml", lambda text, k: pack(k, **{text: 1})),
}

# messages that nobody numbered: by their time
UNNUMBERED: dict[str, tuple[str, Make, str, Callable[[dict[str, Any], int], Any]]] = {
    "owntracks text": (
        "/v1/owntracks",
        lambda text, k: fix(k, _type="transition", event="enter", desc=text),
        "annotation",
        lambda columns, i: columns["text"][i].removeprefix("enter "),
    ),
    "owntracks network": ("/v1/owntracks", lambda text, k: fix(k, SSID=text), "network", lambda c, i: c["ssid"][i]),
    "owntracks extra": ("/v1/owntracks", lambda text, k: fix(k, x=text), "location", lambda c, i: c["extra"][i]["x"]),
    "senml text": (
        "/v1/senml",
        lambda text, k: [{"n": "own", "t": T0 // 10**9 + k, "vs": text}],
        "own",
        lambda columns, i: columns["extra"][i]["value"],
    ),
}


async def answers(world: World, route: str, make: Make) -> list[httpx.Response]:
    """What each string is answered, in order; the string's number is the message's seq."""
    token = world.tokens.get("pi") or await world.device("pi")
    async with world.client as client:
        return [
            await client.post(route, content=json.dumps(make(text, k)).encode(), headers=bearer(token))
            for k, text in enumerate(strings())
        ]


@needs_strings
@pytest.mark.parametrize("field", KEPT)
async def test_a_text_is_refused_or_found_again_unchanged(field: str) -> None:
    route, make, sensor, column = KEPT[field]
    async with gateway(limits=UNLIMITED) as world:
        found = await answers(world, route, make)
        assert {a.status_code for a in found} <= {200, *range(400, 500)}
        taken = {k for k, answer in enumerate(found) if answer.status_code == 200 and answer.json()["readings"] == 1}
        assert len(taken) > len(found) * 0.9  # they are texts like any other
        await settle(world)
        person = Person(world, await world.services.enrolment.add_operator("v", "viewer"))
        span = {"device": "pi", "sensor": sensor, "from_": T0, "to": T0 + 1}
        columns = (await person.get("/v1/readings", **span)).json()["columns"]
        assert set(columns["seq"]) == taken
        for k, value in zip(columns["seq"], columns[column], strict=True):
            sent = strings()[k]
            if "name" in field:
                assert list(value) == [sent]
            elif column == "extra":
                assert sent in list(value.values()) or [sent] in list(value.values())
            else:
                assert value == sent
        exported = await person.get("/v1/export", device="pi", format="arrow")
        assert exported.status_code == 200


@needs_strings
@pytest.mark.parametrize("field", UNNUMBERED)
async def test_a_text_in_what_nobody_numbered_is_found_again_unchanged(field: str) -> None:
    route, make, sensor, told = UNNUMBERED[field]
    async with gateway(limits=UNLIMITED) as world:
        found = await answers(world, route, make)
        assert {a.status_code for a in found} <= {200, *range(400, 500)}
        taken = {k for k, answer in enumerate(found) if answer.status_code == 200}
        assert len(taken) > len(found) * 0.9
        await settle(world)
        person = Person(world, await world.services.enrolment.add_operator("v", "viewer"))
        span = {"device": "pi", "sensor": sensor, "from_": T0, "to": T0 + 10**12}
        columns = (await person.get("/v1/readings", **span)).json()["columns"]
        kept = {(t - T0) // 10**9: told(columns, i) for i, t in enumerate(columns["t"])}
        assert kept == {k: strings()[k] for k in taken}


@needs_strings
@pytest.mark.parametrize("field", NAMES)
async def test_a_name_is_a_name_or_refused(field: str) -> None:
    route, make = NAMES[field]
    async with gateway(limits=UNLIMITED) as world:
        found = await answers(world, route, make)
        assert {a.status_code for a in found} <= {200, *range(400, 500)}
        await settle(world)
        seen = await world.services.store.devices()
        assert {d.device for d in seen} <= {"pi"}
        assert all(is_name(sensor) for d in seen for sensor in d.sensors)
        assert all(is_name(s.session) for s in await world.services.store.completeness())
        if field == "native device":
            assert seen == []
        if field == "native session":
            taken = {text for text, answer in zip(strings(), found, strict=True) if answer.status_code == 200}
            assert taken == {text for text in strings() if is_name(text)}
            assert {s.session for s in await world.services.store.completeness()} == taken


@needs_strings
@pytest.mark.parametrize("place", ["device", "session", "sensor", "from", "format", "method"])
async def test_a_question_with_such_a_text_is_answered_or_refused(place: str) -> None:
    async with gateway() as world:
        await world.device("pi")
        person = Person(world, await world.services.enrolment.add_operator("v", "viewer"))
        paths = {"from": "/v1/readings", "method": "/v1/readings"}
        base = {"device": "pi", "sensor": "light", "from": "0", "to": "1", "format": "csv", "points": "5"}
        for text in strings():
            answer = await person.get(paths.get(place, "/v1/export"), **(base | {place: text}))
            assert answer.status_code == 200 or 400 <= answer.status_code < 500, text
            if answer.status_code == 200 and "content-disposition" in answer.headers:
                name = answer.headers["content-disposition"].removeprefix('attachment; filename="sensorline_')
                assert is_name(name.removesuffix('"')[:64]), text


@needs_strings
async def test_such_a_text_as_a_key_opens_nothing() -> None:
    async with gateway() as world, world.client as client:
        for text in strings():
            header = f"Bearer {text}".encode()
            if any(byte < 32 for byte in header):
                continue  # no header can carry it
            await asyncio.sleep(0)  # the client never waits: let the registry confirm that it is fresh
            asked = [await client.get(path, headers=[(b"authorization", header)]) for path in PROTECTED]
            asked.append(await client.post("/v1/batches", headers=[(b"authorization", header)]))
            assert [answer.status_code for answer in asked] == [401] * 4, text
