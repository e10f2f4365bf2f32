"""One real Kafka and one real Elasticsearch for all tests in this folder; they run in one process (`-n 0`)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorline import servers as local
from sensorline.servers import processes, state

WHY_NOT = "set SENSORLINE_REAL=1 to run against real Kafka and Elasticsearch"


TIMEOUT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time a test here without its fixtures: the first may fetch the jars, which has deadlines of its own."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S, func_only=True))


def wanted() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("SENSORLINE_REAL") == "1"


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.Servers]:
    """Both servers, on free ports, taken down at the end. A test that harms them leaves them up again.

    Where they are asked for, a failure to start is an error: a suite that skips what it was told to run proves nothing.
    """
    if not wanted():
        pytest.skip(WHY_NOT)
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail(
            "every worker would start a pair of its own: run `pytest -n 0 -m real tests/real` apart from the rest"
        )
    home = tmp_path_factory.mktemp("servers")
    try:
        yield local.up(home, kafka_port=0, elasticsearch_port=0, log=print)
    finally:
        local.down(home, print)
        left = [name for name, entry in state.load(home).items() if processes.identity(entry.pid) == entry.started]
        assert not left, f"still running: {left}"
