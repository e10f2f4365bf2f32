"""What is this machine's own address, however it is written, and what only looks like it."""

import httpx
import pytest

from telemetry.loopback import is_loopback, is_loopback_url

OURS = [
    "localhost",
    "LocalHost",
    "localhost.",
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::1%lo",
    "::ffff:127.0.0.1",
    "[::FFFF:127.3.2.1]",
]
OTHERS = [
    "",
    "0.0.0.0",
    "::",
    "[::]",
    "::ffff:0.0.0.0",
    "::ffff:192.0.2.1",
    "192.0.2.1",
    "128.0.0.1",
    "127.0.0.1.example.org",
    "localhost.example.org",
    "a.localhost",
    "localhost..",
    "[127.0.0.1]",
    "[localhost]",
    "127.1",
    "0127.0.0.1",
    "2130706433",
    " 127.0.0.1",
    "127.0.0.1:80",
    "[::1",
    "::1]",
]
URLS = [
    ("http://localhost:8080", True),
    ("mqtt://127.0.0.2", True),
    ("http://[::1]:8080/v1/batches", True),
    ("http://user@LOCALHOST./", True),
    ("http://127.0.0.1@sensors.example.org", False),
    ("http://sensors.example.org?@localhost", False),
    ("http://sensors.example.org#@localhost/", False),
    ("http://0.0.0.0:8080", False),
    ("https://sensors.example.org", False),
    ("http://[::1", False),
    ("localhost:8080", False),
    ("", False),
]


@pytest.mark.parametrize("host", OURS)
def test_what_stays_on_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", OTHERS)
def test_what_may_leave_it(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(("url", "is_so"), URLS)
def test_of_a_url_the_host_counts_and_it_is_the_one_that_is_connected_to(url: str, is_so: bool) -> None:
    assert is_loopback_url(url) is is_so
    if is_so:
        assert is_loopback(httpx.URL(url).host)
