"""Anomalies and windows in DuckDB: the same as in the plain store whatever is put, and files of before they were."""

import asyncio
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "ports"))  # the suite's modules import each other by plain name

from stores_findings import anomaly, windows
from stores_samples import SECOND, T0, batch, item

from telemetry.anomaly import Asked
from telemetry.ports import Span, Store, Written
from telemetry.stores import open_store
from telemetry.window import Windows

one_window = st.builds(
    lambda n, at, session, revision, count, value: windows(
        n, t0=T0 + at * SECOND, session=session, revision=revision, count=count, x_rms=float(value), **extra(value)
    ),
    st.integers(0, 4),
    st.sampled_from([0, 1, 2, 5, 40 * 86_400, -40 * 86_400]),
    st.sampled_from(["s1", "s2"]),
    st.integers(0, 3),
    st.sampled_from([0, 1, 100]),
    st.integers(0, 3),
)
puts = st.lists(st.lists(one_window, max_size=4), max_size=6)


def extra(value: int) -> dict[str, Any]:
    return {"y_max": np.nan} if value == 0 else {f"z_{value}": 1.0}


def test_windows_are_those_of_the_plain_store(tmp_path: Path) -> None:
    """All in one loop and one pair of stores, a device an example: opening a file takes longer than an example."""
    examples = itertools.count()

    async def agree(duck: Store, plain: Store, puts: list[list[Windows]], limit: int) -> None:
        device = f"d{next(examples)}"
        span, every = Span(device, "acceleration", 0, 2**63 - 1), {"kind": "tumbling", "width_ns": SECOND}
        for some in puts:
            for store in (duck, plain):
                await store.put_windows([replace(w, device=device) for w in some])
        for asked in (limit, 10**6):
            one = await duck.windows(span, **every, limit=asked)
            other = await plain.windows(span, **every, limit=asked)
            assert one.schema == other.schema
            assert one.to_pylist() == other.to_pylist()

    with asyncio.Runner() as runner:
        duck = open_store("duckdb", {}, tmp_path, retention_days=36_500)
        plain = open_store("memory", {}, tmp_path, retention_days=36_500)
        runner.run(duck.start())
        runner.run(plain.start())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(puts=puts, limit=st.integers(1, 12))
        def each(puts: list[list[Windows]], limit: int) -> None:
            runner.run(agree(duck, plain, puts, limit))

        each()
        runner.run(duck.close())


async def test_a_file_of_before_there_were_windows_opens_and_goes_on(tmp_path: Path) -> None:
    store = open_store("duckdb", {}, tmp_path, retention_days=36_500)
    await store.start()
    await store.write([item(batch(seq=0))])
    await store.close()
    with duckdb.connect(str(tmp_path / "store.duckdb")) as old:
        for statement in (
            "CREATE TABLE before AS SELECT * EXCLUDE summarised FROM claims",
            "DROP TABLE claims",
            """CREATE TABLE claims (stream INTEGER NOT NULL, seq BIGINT NOT NULL, hash VARCHAR NOT NULL,
               received_ns BIGINT NOT NULL, readings BIGINT NOT NULL, expired BIGINT NOT NULL,
               log_partition INTEGER NOT NULL, log_offset BIGINT NOT NULL, last_ns BIGINT,
               PRIMARY KEY (stream, seq))""",
            "INSERT INTO claims SELECT * FROM before",
            "DROP TABLE before",
            "DROP TABLE anomalies",
            "DROP TABLE windows",
        ):
            old.execute(statement)
    store = open_store("duckdb", {}, tmp_path, retention_days=36_500, detail="windows")
    await store.start()
    assert await store.write([item(batch(seq=0)), item(batch(seq=1))]) == [Written(duplicate=5), Written(summarised=5)]
    assert [c.summarised for c in await store.claims("d1")] == [0, 5]
    await store.put_anomalies([anomaly()])
    assert await store.anomalies(Asked()) != []
    await store.close()
