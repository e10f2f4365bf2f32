"""The pages in a real Chromium over a real Kafka and a real Elasticsearch: the dashboard, and a phone that loses its
network, its page and its station, and no reading."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser

from sensorline.servers import Servers
from tests.browser.journey import dashboard_journey
from tests.browser.phone_world import phone_journey
from tests.browser.world import Station, chromium, fleet, station
from tests.journey.processes import assert_four_zeros

pytestmark = [pytest.mark.real, pytest.mark.timeout(420, func_only=True)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for both."""
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def at(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station on both servers, with topics and indices of its own."""
    prefix = f"web-{uuid4().hex[:8]}-"
    settings = {
        "log": "kafka",
        "store": "elasticsearch",
        "adapters.kafka.bootstrap": servers.bootstrap,
        "adapters.kafka.prefix": prefix,
        "adapters.kafka.partitions": "2",
        "adapters.elasticsearch.urls": f'["{servers.elasticsearch_url}"]',
        "adapters.elasticsearch.prefix": prefix,
        "consumers.flush_wait_s": "0.5",
    }
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    with station(tmp_path_factory.mktemp("web"), *options) as made:
        yield made


def test_a_person_sees_what_their_devices_are_doing(browser: Browser, at: Station) -> None:
    with fleet(at, devices=2, disturb="fall,stuck", a_minute=6):
        dashboard_journey(browser, at)


def test_a_phone_loses_nothing_without_network_page_or_station(browser: Browser, at: Station, tmp_path: Path) -> None:
    assert_four_zeros(phone_journey(browser, at, tmp_path / "ledger.jsonl"))
