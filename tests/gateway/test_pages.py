"""The pages' files: served whole, with the headers that a page must have, and nothing vendored was changed."""

import hashlib
import re
from pathlib import Path

import httpx
import orjson
import pytest

from gateway import pages
from tests.gateway.gateway_world import bearer, gateway

VENDOR = pages.FOLDER / "vendor"
HTML = sorted(pages.FOLDER.glob("*.html"))


@pytest.mark.parametrize("path", [p for p, name in pages.PAGES.items() if (pages.FOLDER / name).exists()])
async def test_a_page_lets_no_inline_script_and_no_stranger_in(path: str) -> None:
    async with gateway() as world, world.client as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        motion = "accelerometer=(self)" if path == "/phone" else "accelerometer=()"
        assert motion in answer.headers["permissions-policy"]
        again = await client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code in {200, 304}


async def test_assets_are_served_with_their_types_and_no_path_leads_out() -> None:
    async with gateway() as world, world.client as client:
        script = await client.get("/assets/app.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["content-encoding"] == "gzip"
        assert script.headers["x-content-type-options"] == "nosniff"
        etag = script.headers["etag"]
        kept = await client.get("/assets/app.js", headers={"if-none-match": etag})
        assert (kept.status_code, kept.headers["x-content-type-options"]) == (304, "nosniff")
        for path in ("/assets/../pages.py", "/assets/%2e%2e/pages.py", "/assets/..%2fpages.py", "/assets/"):
            assert (await client.get(path)).status_code in {404, 405}, path


ANSWERS = [  # what is asked, and how it is answered
    ("GET", "/nothing", 404),
    ("GET", "/assets/nothing.js", 404),
    ("GET", "/assets/app.js", 200),
    ("GET", "/ca.crt", 404),
    ("POST", "/", 405),
    ("GET", "/v1/nothing", 404),
    ("GET", "/v1/me", 401),
    ("GET", "/v1/web", 200),
    ("GET", "/v1/devices", 200),
    ("GET", "/healthz", 200),
    ("POST", "/v1/login", 422),
    ("DELETE", "/v1/people/nobody", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_answer_says_that_it_is_no_page_for_others(method: str, path: str, status: int) -> None:
    async with gateway() as world, world.client as client:
        key = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        answer = await client.request(method, path, headers={} if path == "/v1/me" else key)
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        kept = "no-cache" if path == "/assets/app.js" else "no-store"
        assert answer.headers.get_list("cache-control") == [kept]


async def test_a_fault_of_ours_is_answered_so_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as world:

        def broken() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(world.services.registry, "people", broken)
        key = bearer(await world.services.enrolment.add_operator("boss", "admin"))
        transport = httpx.ASGITransport(world.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            answer = await client.get("/v1/people", headers=key)
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (500, "nosniff")


async def test_only_the_named_server_of_tiles_may_send_pictures() -> None:
    async with (
        gateway(web={"tile_url": "https://{s}.tiles.example.org/{z}/{x}/{y}.png"}) as world,
        world.client as client,
    ):
        policy = (await client.get("/")).headers["content-security-policy"]
        assert "img-src 'self' data: blob: https://*.tiles.example.org;" in policy
        told = (await client.get("/v1/web")).json()
        assert told["tile_url"] == "https://{s}.tiles.example.org/{z}/{x}/{y}.png"


@pytest.mark.parametrize("url", ["https://t.example; script-src *", "javascript:alert(1)", "https://a b", "//x"])
def test_an_address_that_would_change_the_policy_is_no_setting(url: str) -> None:
    from pydantic import ValidationError

    from telemetry.settings import Web

    with pytest.raises(ValidationError):
        Web(tile_url=url)


@pytest.mark.parametrize("file", HTML, ids=lambda f: f.name)
def test_markup_has_no_inline_script_style_or_handler(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"(src|href)=\"(https?:)?//", text)


def test_what_is_vendored_is_what_was_published() -> None:
    said = orjson.loads((VENDOR / "vendored.json").read_bytes())
    for name, library in said.items():
        files = {str(f.relative_to(VENDOR / name)) for f in (VENDOR / name).rglob("*") if f.is_file()}
        assert files == set(library["files"])
        assert "LICENSE" in files
        for file, digest in library["files"].items():
            assert hashlib.sha256((VENDOR / name / file).read_bytes()).hexdigest() == digest, file


def test_every_import_of_a_script_is_there() -> None:
    for script in pages.FOLDER.rglob("*.js"):
        if VENDOR in script.parents:
            continue
        for found in re.findall(r"(?:from|import)\s*\(?[\"'](\.[^\"']+)[\"']", script.read_text()):
            if "${" not in found:
                assert (script.parent / found).resolve().exists(), f"{script.name}: {found}"


async def test_ones_own_authority_is_given_away_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB+/0=\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN PRIVATE KEY-----\nMIIBcanary\n-----END PRIVATE KEY-----\n"
    file.write_text(f"{certificate}{key}# the older one\n{certificate}")
    async with gateway(authority_file=str(file)) as world, world.client as client:
        answer = await client.get("/ca.crt")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-x509-ca-cert")
        assert answer.text == certificate * 2
        file.write_text(key)  # the wrong file in the settings
        assert (await client.get("/ca.crt")).status_code == 404
    async with gateway() as world, world.client as client:
        answer = await client.get("/ca.crt")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
