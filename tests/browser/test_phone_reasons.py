"""When the browser refuses: the phone page says why and what mends it; and how every state of it looks."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from tests.browser.phone_world import new_page, phone, post, stored_sessions
from tests.browser.world import FLAGS, PHONE, Station, axe, chromium_path, shots

BOTH: Sequence[Literal["light", "dark"]] = ("light", "dark")
NOBODY_KEEPS = "indexedDB.open = () => { throw new DOMException('not here', 'SecurityError'); };"

FULL = """const add = IDBObjectStore.prototype.add;
  IDBObjectStore.prototype.add = function (...row) {
    if (window.full) throw new DOMException("no room", "QuotaExceededError");
    return add.apply(this, row);
  };"""


def look(page: Page, name: str, themes: Sequence[Literal["light", "dark"]] = ("light",)) -> None:
    """Nothing serious for axe, nothing wider than the narrowest phone; screenshots where wanted."""
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        assert axe(page) == [], (name, theme)
    page.emulate_media(color_scheme=None)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    shots(page, f"phone-{name}")


def test_by_plain_http_the_page_says_what_is_needed(browser: Browser, phone_station: Station) -> None:
    port = urlsplit(phone_station.url).port
    flags = [*FLAGS, "--host-resolver-rules=MAP station.test 127.0.0.1"]
    with browser.browser_type.launch(executable_path=chromium_path(), headless=True, args=flags) as stranger:
        page = stranger.new_page(viewport=PHONE)  # type: ignore[arg-type]
        page.goto(f"http://station.test:{port}/phone#code=AAAA-AAAA")
        page.get_by_role("heading", name="This page needs https").wait_for()
        assert "AAAA" not in page.url
        link = page.get_by_role("link", name="How this phone trusts the station")
        assert link.get_attribute("href") == "/trust"
        look(page, "insecure")


def test_permissions_that_were_denied_and_how_to_give_them(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-denied", permissions=()) as one:
        one.enrol()
        one.start()
        one.page.locator("[data-notice=motion]").wait_for()
        one.page.locator("[data-notice=location]").wait_for()
        assert "Permissions, allow Motion sensors" in one.text()
        one.page.get_by_text("100 %, ").wait_for()  # the battery asks nobody
        look(one.page, "denied")
        one.stop()
        one.wait_drained()


def test_a_desktop_without_motion_is_told_so(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-desktop", sensors=False) as one:
        one.enrol()
        one.start()
        one.page.locator("[data-notice=sensorless]").wait_for()
        look(one.page, "sensorless")
        one.stop()
        one.wait_drained()


def test_a_browser_that_keeps_nothing_and_one_that_is_full(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-quota") as one:
        one.page.add_init_script(FULL)  # Chromium's own override of the quota is not always heeded
        one.enrol()
        one.start()
        one.record(1)
        one.page.evaluate("window.full = true")
        one.move_until(lambda: one.state() == "The storage is full", "the storage is full")
        one.page.locator("[data-notice=full]").wait_for()
        look(one.page, "full")
        one.page.evaluate("window.full = false")
        one.move_until(lambda: one.state() == "Recording", "there is room again")
        one.stop()
        one.wait_drained()
        assert one.ends() == {"acknowledged"}
        (session,) = stored_sessions(phone_station, "phone-quota", 1)
        assert session["missing_batches"] == 0
        refused = new_page(one.page.context, phone_station, "phone-refused")
        one.page.close()
        refused.page.add_init_script(NOBODY_KEEPS)
        refused.page.goto(f"{phone_station.url}/phone")
        refused.wait_state("This browser keeps nothing")
        look(refused.page, "storage")


def test_each_state_is_readable_by_everybody(browser: Browser, phone_station: Station) -> None:
    with phone(browser, phone_station, "phone-looks") as one:
        one.page.goto(f"{phone_station.url}/phone")
        one.code_field().wait_for()
        look(one.page, "new", BOTH)
        one.enrol()
        look(one.page, "ready")
        # by the keyboard alone
        one.page.locator("#toggle").focus()
        one.page.keyboard.press("Enter")
        one.wait_state("Recording")
        one.record(2)
        assert one.page.get_by_role("status").inner_text() == "Recording"
        box = one.page.locator("#toggle").bounding_box()
        look(one.page, "recording", BOTH)
        one.page.context.set_offline(True)
        one.record(2)
        one.wait_state("Waiting for the network")
        assert one.page.locator("#toggle").bounding_box() == box, "nothing has jumped"
        look(one.page, "waiting", BOTH)
        post(phone_station, "/v1/devices/phone-looks/revoke")
        one.page.context.set_offline(False)
        one.move_until(lambda: one.state() == "Refused by the station", "it is held")
        look(one.page, "refused", BOTH)
        other = new_page(one.page.context, phone_station, "phone-looks")
        other.page.goto(f"{phone_station.url}/phone")
        other.wait_state("Another tab is this phone's recorder")
        look(other.page, "other")


def test_the_kept_copy_is_renewed_as_a_whole_and_holds_nothing_of_the_api(
    browser: Browser, phone_station: Station
) -> None:
    old = """async () => {
      const [name] = (await caches.keys()).filter((one) => one.startsWith("sensorline-phone-"));
      const set = await caches.open(name);
      const styles = { headers: { "Content-Type": "text/css", "Cache-Control": "no-cache" } };
      await set.put("/assets/styles/phone.css", new Response("body { --copy: old; }", styles));
      await set.put("/whole", new Response("an older version"));
      return name;
    }"""
    copy = """async () => {
      const answer = await fetch("/assets/styles/phone.css", { cache: "no-store" });
      return (await answer.text()).includes("--copy");
    }"""
    newer = "async (name) => !(await caches.keys()).includes(name)"
    with phone(browser, phone_station, "phone-copy") as one:
        one.enrol()
        one.wait_offline_ready()
        name = one.page.evaluate(old)
        one.page.reload()
        style = "getComputedStyle(document.body).getPropertyValue('--copy').trim()"
        assert one.page.evaluate(style) == "old", "at once, from the copy"
        one.wait_true(newer, name)
        one.page.reload()
        assert not one.page.evaluate(copy), "the next time, the new one"
        one.start()
        one.record(1)
        one.stop()
        one.wait_drained()
        kept = one.page.evaluate(
            """async () => (await Promise.all((await caches.keys()).map(async (name) =>
              (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname)))).flat()"""
        )
        modules = one.page.evaluate("performance.getEntriesByType('resource').map((e) => new URL(e.name).pathname)")
    assert not [path for path in kept if path.startswith("/v1")]
    assert {path for path in modules if path.startswith("/assets/")} <= set(kept), "all that the page loads is kept"


def test_two_openings_at_once_renew_the_kept_copy_and_do_not_remove_it(
    browser: Browser, phone_station: Station
) -> None:
    stale = """async () => {
      const [name] = (await caches.keys()).filter((one) => one.startsWith("sensorline-phone-"));
      await (await caches.open(name)).put("/whole", new Response("an older version"));
      let last = 0;
      const now = Date.now;
      Date.now = () => (last = Math.max(last + 1, now()));  // two sets never share a name
      self.fetch = async () => new Response("new", { headers: { etag: '"new"' } });  // both go on at the same pace
      await Promise.all([renew(), renew()]);
    }"""
    with phone(browser, phone_station, "phone-copies") as one:
        one.enrol()
        one.wait_offline_ready()
        (worker,) = one.page.context.service_workers
        worker.evaluate(stale)
        one.wait_offline_ready()
