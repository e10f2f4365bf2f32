"""Addresses that set phones up: what each app makes of its own."""

import base64
import json

import pytest

from telemetry.set_up import OWNTRACKS_SCHEME, owntracks_address

TOKEN = "sl_" + "aZ0_-" * 8


@pytest.mark.parametrize("url", ["https://sensors.example.org", "http://192.0.2.1:8080/", "https://h.example/~jo?x>y"])
@pytest.mark.parametrize("device", ["p", "phone", "phone-12", "~"])
def test_owntracks_reads_the_same_by_either_alphabet_and_without_padding(url: str, device: str) -> None:
    address = owntracks_address(url, device, TOKEN)
    assert address.startswith(OWNTRACKS_SCHEME)
    packed = address.removeprefix(OWNTRACKS_SCHEME)
    assert packed.isalnum(), "nothing that a URL escapes, or one of the alphabets lacks"
    config = json.loads(base64.b64decode(packed, validate=True))
    assert config["_type"] == "configuration"
    assert config["mode"] == 3
    assert config["url"] == url.rstrip("/") + "/v1/owntracks"
    assert (config["auth"], config["username"], config["password"]) == (True, device, TOKEN)
    assert config["deviceId"] == device
