"""Batches that the station refused: on the phone page a person sends them again, or deletes them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Response, Route

from tests.browser.phone_world import Phone, phone, stored_sessions
from tests.browser.test_phone_reasons import BOTH, look
from tests.browser.world import Station, axe
from tests.journey.processes import assert_four_zeros

BATCHES = "**/v1/batches"
BODIES = """async () => {
  const db = await new Promise((done) => {
    const asked = indexedDB.open("sensorline-phone");
    asked.onsuccess = () => done(asked.result);
  });
  const got = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
  const rows = [...(await got(db.transaction("batches").objectStore("batches").getAll())),
                ...(await got(db.transaction("aside").objectStore("aside").getAll()))];
  db.close();
  return rows.map((row) => [row.session, row.seq, [...row.bytes].join()]).sort();
}"""
COUNTS = ("batches", "bytes", "readings", "tombstones", "aside_batches", "aside_readings", "aside_bytes")


@contextmanager
def refusing(page: Page, why: str) -> Iterator[None]:
    """Something in between refuses every batch for good."""

    def refuse(route: Route) -> None:
        problem = {"type": "urn:sensorline:error:invalid", "title": "t", "status": 422, "detail": why}
        route.fulfill(status=422, body=json.dumps(problem), content_type="application/problem+json")

    page.route(BATCHES, refuse)
    yield
    page.unroute(BATCHES)


def refused(one: Phone, batches: int) -> None:
    """Record so many, and have all of them refused."""
    with refusing(one.page, "not this one"):
        one.start()
        one.record(batches)
        one.stop()
        one.wait_state("Ready")
    assert one.totals["batches"] == 0


def counts(one: Phone) -> dict[str, Any]:
    """What lies where."""
    return {name: one.totals[name] for name in COUNTS}


def test_what_was_refused_is_sent_again_as_it_was_and_in_order(
    browser: Browser, phone_station: Station, tmp_path: Path
) -> None:
    answers: list[Response] = []
    with phone(browser, phone_station, "phone-again") as one:
        one.enrol()
        refused(one, 3)
        before, bodies = counts(one), one.page.evaluate(BODIES)
        assert before["aside_batches"] == len(bodies) >= 3
        assert one.ends() == {"set_aside"}

        one.page.reload()  # what is put back belongs to an older session then
        one.page.context.set_offline(True)
        one.open_more()
        look(one.page, "refused-batches", BOTH)
        again = one.page.get_by_role("button", name="Send them again")
        again.focus()
        one.page.keyboard.press("Enter")
        one.page.get_by_text(f"{len(bodies)} batches will be sent again", exact=True).wait_for()
        assert one.page.evaluate("document.activeElement.role") == "status", "who uses the keyboard stays here"
        assert not again.is_visible()
        after = counts(one)
        assert one.page.evaluate(BODIES) == bodies
        assert (after["batches"], after["readings"]) == (before["aside_batches"], before["aside_readings"])
        assert [after[name] for name in COUNTS if name.startswith("aside")] == [0, 0, 0]
        assert one.ends() == {""}

        with refusing(one.page, "nor now"):
            one.page.context.set_offline(False)
            one.send_now()
            one.page.get_by_text("nor now").nth(len(bodies) - 1).wait_for()
        assert counts(one) == before
        assert one.page.evaluate(BODIES) == bodies
        assert {row["reason"] for row in one.rows("aside")} == {"422 invalid nor now"}

        one.page.on("response", lambda answer: answers.append(answer) if answer.url.endswith("/v1/batches") else None)
        one.page.get_by_role("button", name="Send them again").click()
        one.wait_drained()
        assert [answer.json()["seq"] for answer in answers] == [seq for _, seq, _ in bodies]
        assert one.ends() == {"acknowledged"}
        assert set(counts(one).values()) == {0}
        assert_four_zeros(one.verify(tmp_path / "ledger.jsonl"))
    (session,) = stored_sessions(phone_station, "phone-again", 1)
    assert session["missing_batches"] == 0


def test_what_was_put_back_goes_before_the_live_session_and_is_not_dropped(
    browser: Browser, phone_station: Station, tmp_path: Path
) -> None:
    with phone(browser, phone_station, "phone-again-live") as one:
        one.page.add_init_script("delete window.CompressionStream")
        one.page.goto(f"{phone_station.url}/phone")
        one.code_field().wait_for()
        one.set("spool_bytes_max", 1)  # the least that there is, 32 KiB
        one.enrol()
        refused(one, 3)
        one.page.context.set_offline(True)
        one.start()
        one.record(2)
        one.open_more()
        one.page.get_by_role("button", name="Send them again").click()
        one.page.get_by_text("will be sent again").wait_for()
        one.move_until(lambda: one.totals["dropped_readings"] > 0, "the spool drops", 60_000)
        rows = sorted(one.rows("batches"), key=lambda row: row["seq"])
        put_back = sum(row["end"] == "set_aside" for row in one.rows("made"))
        assert put_back == 0
        assert [row["kind"] for row in rows[:4]] == ["batch"] * 4, "what was sent, and what may have been, stays"
        one.page.context.set_offline(False)
        one.stop()
        one.wait_drained()
        assert set(counts(one).values()) == {0}
        report = one.verify(tmp_path / "ledger.jsonl")
        assert_four_zeros(report)
        assert report["dropped"] == one.totals["dropped_readings"]


def test_refused_batches_are_deleted_once_it_was_confirmed(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-delete") as one:
        one.enrol()
        refused(one, 1)
        kept = one.totals["aside_readings"]
        one.open_more()
        one.page.get_by_role("button", name="Forget this phone").click()
        one.page.get_by_text(f"{kept} readings that the station does not have").wait_for()
        one.page.get_by_role("button", name="Cancel").click()

        delete = one.page.get_by_role("button", name="Delete them")
        delete.click()
        one.page.get_by_text(f"The station does not have their {kept} readings").wait_for()
        assert axe(one.page) == []
        one.page.keyboard.press("Escape")
        delete.wait_for()
        assert one.totals["aside_readings"] == kept
        # what is refused while the question stands is not what it was about
        delete.click()
        one.page.get_by_role("button", name="Delete", exact=True).wait_for()
        first = {row["seq"] for row in one.rows("aside")}
        with refusing(one.page, "later"):
            one.page.evaluate("document.querySelector('#toggle').click()")
            one.move_until(lambda: len(one.rows("aside")) > len(first), "another one is refused")
            second = {row["seq"] for row in one.rows("aside")} - first
            one.page.get_by_role("button", name="Delete", exact=True).click()
            one.page.get_by_text("deleted", exact=False).wait_for()
            one.stop()
            one.wait_state("Ready")
        left = one.rows("aside")
        assert not first & {row["seq"] for row in left}
        assert second <= {row["seq"] for row in left}
        assert one.totals["aside_batches"] == len(left)
        assert one.totals["aside_readings"] == sum(row["readings"] for row in left)
        assert one.totals["aside_bytes"] == sum(row["size"] for row in left)
