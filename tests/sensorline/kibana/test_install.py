"""Installing into a Kibana, and every way it can refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from sensorline.kibana import client
from sensorline.kibana.bundle import bundle
from sensorline.kibana.client import Kibana, KibanaRefused, KibanaUnreachable, authorisation
from sensorline.kibana.install import Outcome, Way, install
from telemetry.errors import Forbidden, Misconfigured, NotFound, SensorlineError, Unauthorised
from tests.sensorline.kibana.kibana_server import KEY, FakeKibana, kibana

ALL = {(o["type"], o["id"]) for o in bundle().objects()}
BY_API = {"sensorline-device", "sensorline-anomalies", "sensorline-quality"}  # the fleet's has a map


def installed(fake: FakeKibana, way: Way = Way.AUTO, **options: Any) -> tuple[Outcome, list[str]]:
    remarks: list[str] = []
    with Kibana(fake.url, **{"wait_s": 0.0} | options) as opened:
        return install(opened, bundle(), way, remark=remarks.append), remarks


def puts(fake: FakeKibana) -> dict[str, dict[str, Any]]:
    return {a.path.rpartition("/")[2]: json.loads(a.body) for a in fake.asked if a.method == "PUT"}


def test_an_older_kibana_gets_everything_by_one_import() -> None:
    with kibana(version="8.9.0") as fake:
        outcome, _ = installed(fake)
    (objects,) = fake.imports()
    assert {(o["type"], o["id"]) for o in objects} == ALL
    assert {(i.type, i.id) for i in outcome.installed} == ALL
    assert (outcome.version, outcome.failures) == ("8.9.0", ())
    assert all(a.headers["kbn-xsrf"] for a in fake.asked)


def test_from_9_5_on_dashboards_without_a_map_go_by_their_own_api() -> None:
    with kibana(version="9.5.0") as fake:
        outcome, remarks = installed(fake)
    (objects,) = fake.imports()
    assert set(puts(fake)) == BY_API
    assert {(o["type"], o["id"]) for o in objects} == ALL - {("dashboard", id_) for id_ in BY_API}
    assert {(i.type, i.id) for i in outcome.installed} == ALL
    assert {i.id for i in outcome.installed if i.by == "Dashboards API"} == BY_API
    assert not remarks
    order = [a.method for a in fake.asked]
    assert order.index("POST") < order.index("PUT"), "the data views must be there first"
    assert {a.headers["elastic-api-version"] for a in fake.asked} == {"2023-10-31"}


@pytest.mark.parametrize("version", ["9.4.3", "8.19.0", "", "9.5.0"])
def test_who_wants_saved_objects_gets_them(version: str) -> None:
    with kibana(version=version) as fake:
        outcome, _ = installed(fake, Way.SAVED_OBJECTS)
    assert not puts(fake)
    assert {(i.type, i.id) for i in outcome.installed} == ALL


@pytest.mark.parametrize("version", ["9.4.3", ""])
def test_the_dashboards_api_is_refused_where_its_contract_is_not_fixed(version: str) -> None:
    with kibana(version=version) as fake, pytest.raises(Misconfigured, match=r"9\.5"):
        installed(fake, Way.DASHBOARDS)
    assert not fake.imports(), "nothing is half installed"


def test_a_dashboard_that_its_api_does_not_take_is_imported_and_that_is_said() -> None:
    with kibana(version="9.6.1-SNAPSHOT", dashboards_status=400) as fake:
        outcome, remarks = installed(fake)
    assert {(i.type, i.id) for i in outcome.installed} == ALL
    assert {i.by for i in outcome.installed} == {"saved objects"}
    assert len(remarks) == 3
    assert "no such key" in remarks[0]
    _, *later = fake.imports()
    assert [{o["id"] for o in objects if o["type"] == "dashboard"} for objects in later] == [
        {"sensorline-device"},
        {"sensorline-anomalies"},
        {"sensorline-quality"},
    ]


def test_who_wants_the_dashboards_api_is_told_what_it_did_not_take() -> None:
    with kibana(version="9.5.0", dashboards_status=400) as fake:
        outcome, _ = installed(fake, Way.DASHBOARDS)
    assert {f.id for f in outcome.failures} == BY_API
    assert all("no such key" in f.reason and f.mend for f in outcome.failures)
    assert {(i.type, i.id) for i in outcome.installed} == ALL - {("dashboard", id_) for id_ in BY_API}


@pytest.mark.parametrize("version", ["8.19.2", "9.5.0"])
def test_in_a_second_space_everything_is_imported_and_found_under_the_ids_it_has_there(version: str) -> None:
    """Ids are unique over all spaces of a Kibana: a dashboard put by its API would refer to data views of another."""
    with kibana(version=version, elsewhere=True) as fake:
        outcome, remarks = installed(fake, space="second")
    assert not puts(fake)
    assert {(o["type"], o["id"]) for o in fake.imports()[-1]} == ALL, "only in one import do references follow the ids"
    assert {(i.type, i.id) for i in outcome.installed} == {(type_, f"here-{id_}") for type_, id_ in ALL}
    assert not outcome.failures
    assert len(remarks) == 1
    assert "another space" in remarks[0]


def test_in_a_second_space_the_dashboards_api_cannot_and_that_is_said() -> None:
    with kibana(version="9.5.0", elsewhere=True) as fake:
        outcome, _ = installed(fake, Way.DASHBOARDS, space="second")
    assert not puts(fake), "it would be a dashboard of data views that this space has not"
    assert {f.id for f in outcome.failures} == BY_API
    assert all("another space" in f.reason and "--api" in f.mend for f in outcome.failures)


@pytest.mark.parametrize("version", ["7.17.29", "8.8.2"])
def test_a_kibana_that_is_too_old_is_told_before_anything_is_sent(version: str) -> None:
    with kibana(version=version) as fake, pytest.raises(Misconfigured, match=rf"{version}.*8\.9"):
        installed(fake)
    assert not fake.imports()


def error(type_: str, name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": type_, "id": f"sensorline-{name}", "meta": {}, "error": {"type": kind, **more}}


def test_what_an_import_did_not_take_is_told_one_by_one() -> None:
    missing = [{"type": "index-pattern", "id": "sensorline-readings"}]
    errors = [
        error("map", "tracks", "unsupported_type"),
        error("dashboard", "fleet", "missing_references", references=missing),
        error("dashboard", "quality", "unknown", message="index full", statusCode=500),
    ]
    with kibana(import_errors=errors) as fake:
        outcome, _ = installed(fake)
    assert {(f.type, f.id) for f in outcome.failures} == {(e["type"], e["id"]) for e in errors}
    assert {(i.type, i.id) for i in outcome.installed} == ALL - {(f.type, f.id) for f in outcome.failures}
    said = {f.id: f.reason for f in outcome.failures}
    assert "index-pattern sensorline-readings" in said["sensorline-fleet"]
    assert "index full" in said["sensorline-quality"]
    assert all(f.mend for f in outcome.failures)


def test_a_space_is_part_of_every_address() -> None:
    with kibana() as fake:
        installed(fake, space="ops/eu")
    assert all(a.path.startswith("/s/ops%2Feu/api/") for a in fake.asked)


def test_the_default_space_has_no_address_of_its_own() -> None:
    with kibana() as fake:
        installed(fake, space="default")
    assert all(a.path.startswith("/api/") for a in fake.asked)


# --- refusals ---------------------------------------------------------------------------------------------------


def test_a_kibana_that_is_starting_is_asked_again() -> None:
    waits: list[float] = []
    with kibana(busy=2) as fake:
        outcome, _ = installed(fake, wait_s=30.0, sleep=waits.append)
    assert waits == [1.0, 1.0], "as long as it says"
    assert {(i.type, i.id) for i in outcome.installed} == ALL


def test_one_that_does_not_get_ready_is_given_up() -> None:
    with kibana(busy=99) as fake, pytest.raises(KibanaUnreachable, match="not ready yet"):
        installed(fake, wait_s=0.0)
    assert len(fake.asked) == 1


def test_nobody_there() -> None:
    with kibana() as fake:
        gone = fake.url
    with pytest.raises(KibanaUnreachable, match="no Kibana answers"), Kibana(gone, wait_s=0.0) as opened:
        opened.version()


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "message"),
    [
        (401, {}, b"{}", Unauthorised, "--api-key-file"),
        (403, {}, b'{"message":"Unable to bulk_create dashboard"}', Forbidden, "Unable to bulk_create dashboard"),
        (404, {}, b'{"message":"Not Found"}', NotFound, "--space"),
        (413, {}, b"", KibanaRefused, "maxImportPayloadBytes"),
        (400, {}, b'{"message":"Unexpected token"}', KibanaRefused, "Unexpected token"),
        (500, {}, b"<html>", KibanaRefused, "500"),
        (302, {"location": "/login"}, b"", KibanaRefused, "/login"),
        (200, {}, b"<html>", KibanaRefused, "does not answer like Kibana"),
        (200, {}, b"[]", KibanaRefused, "does not answer like Kibana"),
    ],
)
def test_each_refusal_says_its_mend(
    status: int, headers: dict[str, str], body: bytes, expected: type[SensorlineError], message: str
) -> None:
    with kibana(forced=(status, headers, body)) as fake, pytest.raises(expected, match=message):
        installed(fake)


def test_an_import_that_fails_and_does_not_say_why_is_an_error() -> None:
    forced = (200, {}, b'{"success":false,"successCount":0}')
    with kibana(forced=forced) as fake, pytest.raises(KibanaRefused, match="does not say why"):
        installed(fake)


# --- secrets ----------------------------------------------------------------------------------------------------


def secret(folder: Path, text: str) -> Path:
    file = folder / "secret"
    file.write_text(text)
    return file


def test_a_key_lets_in(tmp_path: Path) -> None:
    with kibana(wants_login=True) as fake:
        headers = authorisation(
            fake.url, api_key_file=secret(tmp_path, f"{KEY}\n"), username=None, password_file=None, allow_http=False
        )
        outcome, _ = installed(fake, headers=headers)
    assert not outcome.failures


def test_a_name_and_a_password_become_a_header(tmp_path: Path) -> None:
    headers = authorisation(
        "https://kibana.example",
        api_key_file=None,
        username="elastic",
        password_file=secret(tmp_path, "pässword"),
        allow_http=False,
    )
    assert headers == {"Authorization": "Basic ZWxhc3RpYzpww6Rzc3dvcmQ="}


@pytest.mark.parametrize(
    ("url", "given", "message"),
    [
        ("http://kibana.example:5601", {"api_key_file": "file"}, "in the clear"),
        ("HTTP://kibana.example?@localhost", {"api_key_file": "file"}, "in the clear"),
        ("https://kibana.example", {"api_key_file": "file", "username": "x", "password_file": "file"}, "not both"),
        ("https://kibana.example", {"username": "x"}, "go together"),
        ("https://kibana.example", {"password_file": "file"}, "go together"),
        ("https://kibana.example", {"api_key_file": "nothing"}, "cannot be read"),
        ("https://kibana.example", {"api_key_file": "lines"}, "one line"),
    ],
)
def test_credentials_that_cannot_be_used_are_refused(
    tmp_path: Path, url: str, given: dict[str, str], message: str
) -> None:
    (tmp_path / "file").write_text("canary")
    (tmp_path / "lines").write_text("canary\ncanary")
    files = {name: text if name == "username" else tmp_path / text for name, text in given.items()}
    options: dict[str, Any] = {"api_key_file": None, "username": None, "password_file": None, "allow_http": False}
    with pytest.raises(Misconfigured, match=message) as caught:
        authorisation(url, **options | files)
    assert "canary" not in str(caught.value)


def test_a_secret_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(Misconfigured) as caught:
        Kibana("https://elastic:canary@kibana.example")
    assert "canary" not in str(caught.value)


def test_no_message_repeats_a_secret(tmp_path: Path) -> None:
    for status in (400, 401, 403, 404, 503):
        with kibana(forced=(status, {}, b"no")) as fake, pytest.raises(SensorlineError) as caught:
            installed(fake, headers={"Authorization": f"ApiKey {KEY}"})
        assert KEY not in repr(caught.value)
        assert KEY not in str(caught.value)


def test_a_redirect_takes_no_secret_elsewhere() -> None:
    with kibana() as other, kibana(forced=(307, {"location": other.url}, b"")) as fake, pytest.raises(KibanaRefused):
        installed(fake, headers={"Authorization": f"ApiKey {KEY}"})
    assert not other.asked


def test_waiting_is_bounded_whatever_a_server_says() -> None:
    assert client._after_s(_busy("999999")) == 60.0
    assert client._after_s(_busy("-3")) == 0.1
    assert client._after_s(_busy("Wed, 21 Oct 2026 07:28:00 GMT")) == client.LOOK_AGAIN_S


def _busy(retry_after: str) -> Any:
    import httpx

    return httpx.Response(503, headers={"retry-after": retry_after})
