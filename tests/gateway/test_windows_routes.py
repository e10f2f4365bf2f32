"""Windows are found by device, sensor, time, kind and width, as columns."""

import math

import numpy as np
import pytest

from tests.gateway.found import SECOND, windows
from tests.gateway.gateway_world import T0
from tests.gateway.read_world import reading_gateway

SPAN = {"from_": T0, "to": T0 + 3600 * SECOND}
ASK = {"device": "pi", "sensor": "acceleration"} | SPAN


@pytest.mark.parametrize("store", ["memory", "duckdb"])
async def test_windows_as_columns(store: str) -> None:
    async with reading_gateway(store=store) as (world, viewer):
        await world.device("pi")
        await world.services.store.put_windows([windows("pi")])
        found = (await viewer.get("/v1/windows", **ASK)).json()
        assert found == {
            "device": "pi",
            "sensor": "acceleration",
            "from_ns": T0,
            "to_ns": T0 + 3600 * SECOND,
            "kind": "tumbling",
            "width_s": 1.0,
            "columns": {
                "t": [T0, T0 + SECOND, T0 + 2 * SECOND],
                "end": [T0 + SECOND, T0 + 2 * SECOND, T0 + 3 * SECOND],
                "session": ["s"] * 3,
                "count": [100] * 3,
                "x_rms": [0.0, 0.25, 0.5],
                "y_min": [None, 0.5, 0.5],
            },
            "rows": 3,
            "truncated": False,
        }
        cut = (await viewer.get("/v1/windows", **ASK, limit=2)).json()
        assert (cut["rows"], cut["truncated"], cut["columns"]["x_rms"]) == (2, True, [0.0, 0.25])
        later = (await viewer.get("/v1/windows", **ASK | {"from_": T0 + 1})).json()
        assert later["columns"]["t"] == [T0 + SECOND, T0 + 2 * SECOND]


async def test_each_kind_and_width_is_asked_for_by_itself() -> None:
    async with reading_gateway() as (world, viewer):
        await world.device("pi")
        half = windows("pi", 1, width_ns=SECOND // 2, features={"x_rms": np.array([2.0])})
        gap = windows("pi", 1, kind="session", width_ns=0, features={"x_rms": np.array([3.0])})
        sliding = windows("pi", 1, kind="sliding", width_ns=10 * SECOND, features={"x_rms": np.array([4.0])})
        await world.services.store.put_windows([half, gap, sliding])

        async def rms(**asked: object) -> list[float]:
            answer = await viewer.get("/v1/windows", **ASK, **asked)
            assert answer.status_code == 200, answer.text
            found: list[float] = answer.json()["columns"].get("x_rms", [])
            return found

        assert await rms() == []
        assert await rms(width_s=0.5) == [2.0]
        assert await rms(kind="session") == [3.0]
        assert await rms(kind="sliding", width_s=10) == [4.0]


@pytest.mark.parametrize(
    "wrong", [{"kind": "hopping"}, {"width_s": 0}, {"width_s": -1}, {"width_s": math.inf}, {"limit": 0}, {"to": "x"}]
)
async def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    async with reading_gateway() as (world, viewer):
        await world.device("pi")
        answer = await viewer.get("/v1/windows", **(ASK | wrong))
        assert answer.status_code == 422
        assert answer.json()["path"] in wrong or next(iter(wrong)) in answer.json()["path"]


async def test_a_device_that_is_unknown_or_deleted_has_none() -> None:
    async with reading_gateway() as (world, viewer):
        assert (await viewer.get("/v1/windows", **ASK)).status_code == 404
        await world.device("pi")
        await world.services.store.put_windows([windows("pi")])
        await world.services.enrolment.delete("pi")
        assert (await viewer.get("/v1/windows", **ASK)).status_code == 404
