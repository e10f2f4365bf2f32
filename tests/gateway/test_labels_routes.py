"""What an operator says of an anomaly is kept, shown, audited, and goes with its device."""

from typing import Any

import pytest

from telemetry.ports import LABELS, Record
from tests.gateway.found import anomaly
from tests.gateway.gateway_world import World, stored
from tests.gateway.read_world import Person, reading_gateway

ID = anomaly("pi").id
PATH = f"/v1/anomalies/{ID}/label"
SAID = {"acknowledged": True, "verdict": "false", "note": "dropped on the floor"}


async def found(world: World) -> None:
    await world.device("pi")
    await world.services.store.put_anomalies([anomaly("pi")])


async def say(person: Person, said: dict[str, Any], path: str = PATH) -> Any:
    return await person.ask("PUT", path, json=said)


async def label(person: Person) -> Any:
    return (await person.get(f"/v1/anomalies/{ID}")).json()["label"]


async def test_a_label_is_kept_and_shown_with_its_anomaly() -> None:
    async with reading_gateway("operator") as (world, operator):
        await found(world)
        assert await label(operator) is None
        before_ns = world.services.clock.now_ns()
        answer = await say(operator, SAID)
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert shown.pop("at_ns") >= before_ns
        assert shown == SAID | {"by": "the-operator"}
        assert await label(operator) == answer.json()
        (listed,) = (await operator.get("/v1/anomalies")).json()["anomalies"]
        assert listed["label"] == answer.json()


async def test_a_label_takes_the_place_of_the_one_before() -> None:
    async with reading_gateway("operator") as (world, operator):
        await found(world)
        labels = world.services.labelling.labels
        await say(operator, SAID)
        last = labels.acknowledged("pi", "fall")
        assert last is not None and last.id == ID
        await say(operator, {"acknowledged": False})
        now = await label(operator)
        assert (now["acknowledged"], now["verdict"], now["note"]) == (False, None, "")
        assert labels.acknowledged("pi", "fall") is None


async def test_withdrawing_one_leaves_the_acknowledgement_of_another() -> None:
    async with reading_gateway("operator") as (world, operator):
        await found(world)
        other = anomaly("pi", 5)
        await world.services.store.put_anomalies([other])
        await say(operator, SAID)
        await say(operator, SAID, f"/v1/anomalies/{other.id}/label")
        await say(operator, {"acknowledged": False})
        last = world.services.labelling.labels.acknowledged("pi", "fall")
        assert last is not None and last.id == other.id


async def test_it_is_in_the_audit_trail() -> None:
    async with reading_gateway("operator") as (world, operator):
        await found(world)
        await say(operator, SAID)
        (entry, *_) = await world.services.audit.recent(1)
        assert (entry["who"], entry["what"], entry["subject"]) == ("the-operator", "anomaly.label", ID)
        assert entry["details"] == {"device": "pi", "acknowledged": True, "verdict": "false"}


async def test_a_viewer_may_not() -> None:
    async with reading_gateway("viewer") as (world, viewer):
        await found(world)
        assert (await say(viewer, SAID)).status_code == 403
        assert await stored(world.log, LABELS) == []


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, 422),
        ({"acknowledged": 1}, 422),
        ({"acknowledged": True, "verdict": "maybe"}, 422),
        ({"acknowledged": True, "note": "x" * 1001}, 422),
        ({"acknowledged": True, "by": "somebody else"}, 422),
    ],
)
async def test_what_is_not_understood_is_refused(said: dict[str, Any], status: int) -> None:
    async with reading_gateway("operator") as (world, operator):
        await found(world)
        assert (await say(operator, said)).status_code == status
        assert await stored(world.log, LABELS) == []


async def test_an_anomaly_that_nobody_knows_or_of_a_deleted_device_is_not_found() -> None:
    async with reading_gateway("operator") as (world, operator):
        assert (await say(operator, SAID)).status_code == 404
        await found(world)
        await world.services.enrolment.delete("pi")
        assert (await say(operator, SAID)).status_code == 404
        assert await stored(world.log, LABELS) == []


async def test_a_deleted_devices_labels_go_with_it() -> None:
    async with reading_gateway("admin") as (world, admin):
        await found(world)
        await world.device("car")
        await world.services.store.put_anomalies([anomaly("car")])
        await say(admin, SAID)
        await say(admin, SAID, f"/v1/anomalies/{anomaly('car').id}/label")
        assert (await admin.ask("DELETE", "/v1/devices/pi")).status_code == 200
        labels = world.services.labelling.labels
        assert labels.of(ID) is None
        assert labels.acknowledged("pi", "fall") is None
        assert labels.of(anomaly("car").id) is not None
        assert labels.acknowledged("car", "fall") is not None


async def test_a_label_that_cannot_be_read_does_not_hide_its_anomaly() -> None:
    async with reading_gateway("operator") as (world, operator):
        await found(world)
        await world.log.append(LABELS, [Record(ID, b'{"v":9}')])
        await world.services.labelling.labels.sync(5.0)
        assert await label(operator) is None
        assert (await say(operator, SAID)).status_code == 200
        assert (await label(operator))["verdict"] == "false"
