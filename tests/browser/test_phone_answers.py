"""What the station answers, and what the phone page does: set aside, hold, drop with a word; never lose silently."""

import json
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Route

from tests.browser.phone_world import Phone, get, new_page, phone, post, readings, stored_sessions
from tests.browser.phone_world import code as code_for
from tests.browser.world import Station
from tests.journey.processes import assert_four_zeros

BATCHES = "**/v1/batches"


def test_a_batch_that_contradicts_another_is_set_aside_and_the_next_goes_on(
    browser: Browser, phone_station: Station
) -> None:
    with phone(browser, phone_station, "phone-409") as one:
        one.enrol()
        one.start()
        one.record(2)
        one.page.context.set_offline(True)
        one.record(2)
        first = min(one.rows("batches"), key=lambda row: row["seq"])
        _store_other_content(one, first["session"], first["seq"] + 1)
        one.page.context.set_offline(False)
        one.move_until(lambda: one.totals["aside_batches"] == 1, "one batch is set aside")
        one.record(1)
        one.stop()
        one.wait_drained()
        one.page.locator("[data-notice=aside]").wait_for()
        (aside,) = one.rows("aside")
        assert (aside["session"], aside["seq"]) == (first["session"], first["seq"] + 1)
        assert aside["reason"].startswith("409 conflict")
        assert aside["size"] > 0, "its bytes are kept"
        one.page.get_by_text("This phone", exact=True).click()
        assert "409 conflict" in one.page.inner_text(".aside")
        ends = {row["seq"]: row["end"] for row in one.rows("made")}
    assert ends.pop(first["seq"] + 1) == "set_aside"
    assert set(ends.values()) == {"acknowledged"}


def _store_other_content(one: Phone, session: str, seq: int) -> None:
    token = one.rows("state")[0]["enrolment"]["token"]
    series = {"sensor": "battery", "t0": 1795362544000000000, "dt": [0], "values": {"level": [0.5]}}
    body = {"v": 1, "device": one.device, "session": session, "seq": seq, "series": [series]}
    answer = httpx.post(f"{one.at.url}/v1/batches", json=body, headers={"authorization": f"Bearer {token}"}, timeout=20)
    assert answer.status_code == 200, answer.text


def test_refused_batches_do_not_stop_the_others(browser: Browser, phone_station: Station) -> None:
    """The real station gives such answers to no batch that the page makes, so something in between gives them."""
    statuses = [413, 422]

    def refuse(route: Route) -> None:
        if not statuses:
            route.continue_()
            return
        status = statuses.pop(0)
        problem = {"type": "urn:sensorline:error:invalid", "title": "t", "status": status, "detail": "not this one"}
        route.fulfill(status=status, body=json.dumps(problem), content_type="application/problem+json")

    with phone(browser, phone_station, "phone-4xx") as one:
        one.page.route(BATCHES, refuse)
        one.enrol()
        one.start()
        one.record(3)
        one.stop()
        one.wait_drained()
        assert [row["reason"] for row in one.rows("aside")] == ["413 invalid not this one", "422 invalid not this one"]
        made = one.rows("made")
        assert sorted(row["end"] for row in made) == ["acknowledged"] * (len(made) - 2) + ["set_aside"] * 2


def test_a_station_that_says_when_to_come_back_is_not_asked_before(browser: Browser, phone_station: Station) -> None:
    asked = 0

    def wait(route: Route) -> None:
        nonlocal asked
        asked += 1
        route.fulfill(status=429, headers={"Retry-After": "600"}, body="{}", content_type="application/problem+json")

    with phone(browser, phone_station, "phone-429") as one:
        one.enrol()
        one.page.route(BATCHES, wait)
        one.start()
        one.record(1)
        one.wait_state("Waiting for the station")
        one.record(3)
        assert asked == 1, "a batch that is new is no reason to ask again"
        one.page.unroute(BATCHES)
        one.send_now()
        one.stop()
        one.wait_drained()
        assert one.ends() == {"acknowledged"}


def test_a_login_page_that_answers_200_frees_nothing(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-portal") as one:
        one.enrol()
        one.page.route(BATCHES, lambda route: route.fulfill(status=200, body="<html>Welcome to the hotel</html>"))
        one.start()
        one.record(1)
        one.wait_state("Waiting for the network")
        assert one.totals.get("last_receipt") is None
        one.page.unroute(BATCHES)
        one.stop()
        one.wait_drained()
        assert one.ends() == {"acknowledged"}


def test_a_revoked_token_holds_and_a_new_code_lets_everything_out(
    browser: Browser, phone_station: Station, tmp_path: Path
) -> None:
    with phone(browser, phone_station, "phone-revoked") as one:
        one.enrol()
        one.start()
        one.record(1)
        post(phone_station, "/v1/devices/phone-revoked/revoke")
        one.move_until(lambda: one.state() == "Refused by the station", "the phone is held")
        one.record(2)
        assert one.totals["readings"] > 0
        one.page.locator("[data-notice=alarm]").wait_for()
        # somebody else's code does not take what this device has recorded
        form = one.code_field()
        form.fill(code_for(phone_station, "phone-other"))
        one.page.get_by_role("button", name="Connect", exact=True).click()
        one.page.get_by_text("this code is for phone-other").wait_for()
        form.fill(code_for(phone_station, "phone-revoked").lower())
        one.page.get_by_role("button", name="Connect", exact=True).click()
        one.move_until(lambda: one.state() == "Recording", "it records again")
        one.stop()
        one.wait_drained()
        assert one.totals["aside_batches"] == 0
        assert_four_zeros(one.verify(tmp_path / "ledger.jsonl"))


def test_a_full_spool_drops_the_oldest_and_says_how_many(
    browser: Browser, phone_station: Station, tmp_path: Path
) -> None:
    with phone(browser, phone_station, "phone-full") as one:
        one.page.add_init_script("delete window.CompressionStream")  # a browser without it fills the spool sooner
        one.page.goto(f"{phone_station.url}/phone")
        one.code_field().wait_for()
        one.set("spool_bytes_max", 1)  # the least that there is, 32 KiB
        one.enrol()
        one.start()
        one.record(1)
        one.page.context.set_offline(True)
        one.move_until(lambda: one.totals["tombstones"] >= 2, "the spool drops", 60_000)
        totals = one.totals
        assert totals["bytes"] <= 32 * 1024
        head = min(one.rows("batches"), key=lambda row: row["seq"])
        assert head["kind"] == "batch", "what may have been sent is not dropped"
        one.page.locator("[data-notice=dropped]").wait_for()
        one.page.context.set_offline(False)
        one.stop()
        one.wait_drained()
        dropped = one.totals["dropped_readings"]
        assert dropped > 0
        report = one.verify(tmp_path / "ledger.jsonl")
        assert_four_zeros(report)
        assert report["dropped"] == dropped
        assert report["generated"] == report["stored"] + dropped
    (session,) = get(phone_station, "/v1/completeness", device="phone-full")["sessions"]
    assert session["dropped_readings"] == dropped
    assert session["missing_batches"] == 0


def test_a_step_of_the_clock_begins_a_new_session(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-clock") as one:
        one.page.add_init_script("const now = Date.now; window.step = 0; Date.now = () => now() + window.step;")
        one.enrol()
        one.start()
        one.record(2)
        one.page.evaluate("window.step = -20000")
        one.record(2)
        one.stop()
        one.wait_drained()
        sessions = list(dict.fromkeys(row["session"] for row in one.rows("made")))
        assert len(sessions) == 2
        assert one.ends() == {"acknowledged"}
    found = stored_sessions(phone_station, "phone-clock", 2)
    times = readings(phone_station, "phone-clock", "gyroscope")["columns"]["t"]
    assert max(times) - min(times) > 15 * 10**9
    assert [s["missing_batches"] for s in found] == [0, 0]


def test_only_one_tab_records_and_the_next_takes_over(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-tabs") as one:
        one.enrol()
        one.start()
        one.record(1)
        other = new_page(one.page.context, phone_station, "phone-tabs")
        other.page.goto(f"{phone_station.url}/phone")
        other.wait_state("Another tab is this phone's recorder")
        one.page.close()
        other.page.get_by_role("button", name="Start").wait_for()
        other.start()
        other.record(1)
        other.stop()
        other.wait_drained()
        assert not other.said
        assert other.ends() == {"acknowledged"}
        assert len({row["session"] for row in other.rows("made")}) == 2


def test_codes_that_are_no_good_are_said_to_be(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-codes") as one:
        one.page.goto(f"{phone_station.url}/phone#code=AAAA-AAAA")
        one.page.get_by_text("This code is no good").wait_for()
        assert one.code_field().input_value() == "AAAA-AAAA"
        one.page.context.set_offline(True)
        one.page.get_by_role("button", name="Connect").click()
        one.page.get_by_text("The station does not answer.").wait_for()
        one.page.context.set_offline(False)
        one.code_field().fill(code_for(phone_station, "phone-codes"))
        one.page.keyboard.press("Enter")
        one.page.get_by_role("button", name="Start").wait_for()
        stored: Any = one.page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href")
        token = one.rows("state")[0]["enrolment"]["token"]
        assert token not in stored
        assert "AAAA" not in stored


def test_forgetting_deletes_what_is_kept_once_it_was_confirmed(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-forget") as one:
        one.enrol()
        one.page.context.set_offline(True)
        one.start()
        one.record(1)
        one.page.get_by_text("This phone", exact=True).click()
        one.page.get_by_role("button", name="Forget this phone").click()
        one.page.get_by_role("button", name="Cancel").click()
        assert one.rows("state")[0]["enrolment"]["device"] == "phone-forget"
        one.page.get_by_role("button", name="Forget this phone").click()
        one.page.get_by_role("button", name="Forget", exact=True).click()
        one.wait_state("Not connected")
        assert one.rows("batches") == []
        assert one.rows("state")[0]["enrolment"] is None
        one.page.context.set_offline(False)
        one.enrol()
        one.start()
        one.record(1)
        one.stop()
        one.wait_drained()


def test_a_code_for_another_device_does_not_take_over_what_was_recorded_while_it_was_asked_about(
    browser: Browser, phone_station: Station
) -> None:
    held: list[Route] = []
    with phone(browser, phone_station, "phone-meanwhile") as one:
        one.enrol()
        one.page.route("**/v1/enroll", lambda route: held.append(route))  # noqa: PLW0108 - it is given an attribute
        one.open_more()
        one.code_field().fill(code_for(phone_station, "phone-thief"))
        one.page.get_by_role("button", name="Connect again").click()
        one.start()
        one.record(1)
        one.move_until(lambda: bool(held), "the code is asked about")
        held[0].continue_()
        one.page.get_by_text("Something was recorded for phone-meanwhile meanwhile.").wait_for()
        one.record(1)
        one.stop()
        one.wait_drained()
        assert one.ends() == {"acknowledged"}


def test_a_disk_that_takes_nothing_neither_connects_nor_forgets(browser: Browser, phone_station: Station) -> None:
    broken = """const put = IDBObjectStore.prototype.put;
      IDBObjectStore.prototype.put = function (...row) {
        if (window.broken) throw new DOMException("no disk", "UnknownError");
        return put.apply(this, row);
      };"""
    with phone(browser, phone_station, "phone-disk") as one:
        one.page.add_init_script(broken)
        one.page.goto(f"{phone_station.url}/phone")
        one.code_field().fill(code_for(phone_station, "phone-disk"))
        one.page.evaluate("window.broken = true")
        one.page.get_by_role("button", name="Connect").click()
        one.page.get_by_text("this browser could not store what it gave").wait_for()
        assert one.state() == "Not connected"
        one.page.evaluate("window.broken = false")
        one.code_field().fill(code_for(phone_station, "phone-disk"))
        one.page.get_by_role("button", name="Connect").click()
        one.wait_state("Ready")
        one.page.evaluate("window.broken = true")
        one.open_more()
        one.page.get_by_role("button", name="Forget this phone").click()
        one.page.get_by_role("button", name="Forget", exact=True).click()
        one.page.locator("[data-notice=failed]").wait_for()
        one.wait_state("The storage fails")
        assert one.rows("state")[0]["enrolment"]["device"] == "phone-disk"


def test_forgetting_while_a_batch_is_on_its_way_leaves_nothing_and_counts_nothing(
    browser: Browser, phone_station: Station
) -> None:
    held: list[Route] = []
    released = False
    with phone(browser, phone_station, "phone-forget-sending") as one:
        one.enrol()
        one.page.route(BATCHES, lambda route: route.continue_() if released else held.append(route))
        one.start()
        one.move_until(lambda: bool(held), "a batch is on its way")
        one.page.get_by_text("This phone", exact=True).click()
        one.page.get_by_role("button", name="Forget this phone").click()
        one.page.get_by_role("button", name="Forget", exact=True).click()
        one.wait_state("Not connected")
        released = True
        for route in held:
            with one.page.expect_response(BATCHES):
                route.continue_()
        one.enrol()
        one.start()
        one.record(1)
        one.stop()
        one.wait_drained()
        totals = one.totals
        assert {totals[name] for name in ("batches", "bytes", "readings", "aside_batches")} == {0}
        assert one.ends() == {"acknowledged"}
