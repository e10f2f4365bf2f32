"""What was found is listed latest first, page by page, shown whole with its samples, and never of a deleted device."""

from typing import Any

import pytest

from telemetry.anomaly import Severity
from tests.gateway.found import SECOND, anomaly
from tests.gateway.gateway_world import T0, World
from tests.gateway.read_world import Person, reading_gateway

STORES = ("memory", "duckdb")


async def put(world: World, *anomalies: Any) -> None:
    await world.services.store.put_anomalies(anomalies)


async def ids(person: Person, **asked: Any) -> list[str]:
    answer = await person.get("/v1/anomalies", **asked)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["anomalies"]]


@pytest.mark.parametrize("store", STORES)
async def test_one_is_shown_whole_and_listed_without_its_samples(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await world.device("pi")
        await put(world, anomaly("pi"))
        found = (await viewer.get(f"/v1/anomalies/{anomaly('pi').id}")).json()
        samples = found.pop("samples")
        assert samples == {
            "columns": {"t": [T0, T0 + 1], "ax": [0.5, None], "latitude": [None, 48.25]},
            "truncated": False,
        }
        (listed,) = (await viewer.get("/v1/anomalies")).json()["anomalies"]
        assert listed == found
        assert found.pop("evidence") == [
            {
                "feature": "impact",
                "unit": "m/s2",
                "seen": 42.5,
                "usual_low": 0.5,
                "usual_high": 11.0,
                "words": "impact 3.9x its usual",
            }
        ]
        found.pop("label", None)
        assert found == {
            "id": anomaly("pi").id,
            "version": 2,
            "device": "pi",
            "session": "s",
            "stream": "motion",
            "kind": "fall",
            "severity": "critical",
            "start_ns": T0,
            "end_ns": T0 + SECOND,
            "open": True,
            "score": 3.25,
            "peak_ns": T0 + 5,
            "words": "fall: impact 3.9x its usual for this device at 22:13:20",
            "detector": "motion",
            "model": 1,
            "live": True,
            "received_ns": T0 + 10,
            "updated_ns": T0 + 20,
        }


@pytest.mark.parametrize("store", STORES)
async def test_pages_follow_each_other_to_the_end(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        put_all = [anomaly("pi", k // 3 * SECOND, session=f"s{k}", id=f"{k:032x}") for k in range(10)]
        await put(world, *put_all)
        expected = [a.id for a in sorted(put_all, key=lambda a: (-a.start_ns, a.id))]
        assert await ids(viewer) == expected
        paged: list[str] = []
        asked: dict[str, Any] = {"limit": 3}
        for _ in range(4):
            page = (await viewer.get("/v1/anomalies", **asked)).json()
            paged += [one["id"] for one in page["anomalies"]]
            if page["next"] is None:
                break
            asked["after"] = page["next"]
        assert paged == expected
        assert page["next"] is None
        assert (await viewer.get("/v1/anomalies", limit=10)).json()["next"] is None


async def test_a_list_may_be_narrowed() -> None:
    async with reading_gateway() as (world, viewer):
        await world.device("pi")
        await world.device("car")
        a = anomaly("pi", 0, is_open=False)
        b = anomaly("pi", SECOND * 10, kind="stuck", severity=Severity.INFO)
        c = anomaly("car", SECOND * 20)
        await put(world, a, b, c)
        assert await ids(viewer, device="pi") == [b.id, a.id]
        assert await ids(viewer, kind="stuck") == [b.id]
        assert await ids(viewer, severity="critical") == [c.id, a.id]
        assert await ids(viewer, open="true") == [c.id, b.id]
        assert await ids(viewer, open="false") == [a.id]
        assert await ids(viewer, from_=T0 + 2 * SECOND, to=T0 + 20 * SECOND) == [b.id]
        assert await ids(viewer, from_="2023-11-14T22:13:40Z") == [c.id], "ISO times are understood"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"severity": "bad"}, "severity"),
        ({"open": "perhaps"}, "open"),
        ({"kind": "a b"}, "kind"),
        ({"after": "yesterday"}, "after"),
        ({"after": f"{2**63}-{'0' * 32}"}, "after"),
        ({"from_": "soon"}, "from"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_path(asked: dict[str, Any], path: str) -> None:
    async with reading_gateway() as (_, viewer):
        answer = await viewer.get("/v1/anomalies", **asked)
        assert answer.status_code == 422
        assert path in answer.json()["path"]


async def test_unknown_ones_and_unknown_devices_are_not_found() -> None:
    async with reading_gateway() as (_, viewer):
        assert (await viewer.get(f"/v1/anomalies/{'0' * 32}")).status_code == 404
        assert (await viewer.get("/v1/anomalies/nonsense")).status_code == 422
        assert (await viewer.get("/v1/anomalies", device="nobody")).status_code == 404


async def test_a_deleted_device_has_none_at_once_and_one_that_came_again_has_its_new_ones() -> None:
    async with reading_gateway() as (world, viewer):
        await world.device("pi")
        old = anomaly("pi", received_ns=world.services.clock.now_ns())
        await put(world, old, anomaly("car", SECOND))
        await world.services.enrolment.delete("pi")
        await put(world, old)  # as a consumer might that does not know yet
        assert await ids(viewer) == [anomaly("car", SECOND).id]
        assert (await viewer.get("/v1/anomalies", device="pi")).status_code == 404
        assert (await viewer.get(f"/v1/anomalies/{old.id}")).status_code == 404
        page = (await viewer.get("/v1/anomalies", limit=1)).json()
        assert (len(page["anomalies"]), page["next"] is None) == (1, False)
        rest = (await viewer.get("/v1/anomalies", limit=1, after=page["next"])).json()
        assert rest == {"anomalies": [], "next": None}
        await world.device("pi")
        new = anomaly("pi", 2 * SECOND, received_ns=world.services.clock.now_ns())
        await put(world, new)
        assert await ids(viewer, device="pi") == [new.id]
