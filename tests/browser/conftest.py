"""One Chromium for all tests of a process; two processes (`-n 2 --dist loadfile`) save little: both cores are busy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.inbox_world import inbox
from tests.browser.world import Station, chromium, station

__all__ = ["inbox"]  # a fixture: one station for the tests of four pages

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need a browser; the first may have to install it."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(240, func_only=True))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless."""
    with chromium() as made:
        yield made


@pytest.fixture(scope="session")
def phone_station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """One station for all tests of the phone page; nobody looks for anomalies on it."""
    with station(tmp_path_factory.mktemp("phones"), "--set", "detect.enabled=false") as at:
        yield at
