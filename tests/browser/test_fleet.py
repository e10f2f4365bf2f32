"""The fleet's page: devices come up, move, are found by name and state, and lead to their charts."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.world import SHIFT_MAX, SHIFTS, Station, axe, fleet, person, shots, station, visit

DEVICES = 3


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station without a device at first."""
    with station(tmp_path_factory.mktemp("fleet")) as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser, at: Station) -> Iterator[Page]:
    """Somebody logged in on the fleet's page, with what went wrong on it."""
    made = person(browser, at, service_workers="block")
    made.add_init_script(SHIFTS)
    wrong: list[str] = []
    made.on("pageerror", lambda e: wrong.append(str(e)))
    made.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    made.goto(f"{at.url}/#/")
    made.reload()  # with the script
    made.wait_for_selector(".page-fleet:not([aria-busy])")
    yield made
    assert wrong == []
    made.context.close()


@pytest.fixture(scope="module")
def moving(at: Station, page: Page) -> Iterator[None]:
    """Devices that send, on the page that was empty before."""
    assert page.get_by_role("heading", name="No device yet").is_visible()
    assert at.url in page.locator(".command").inner_text()
    assert axe(page) == []
    shots(page, "fleet-empty")
    with fleet(at, devices=DEVICES, disturb="fall,stuck", a_minute=10):
        page.wait_for_function(
            "n => document.querySelectorAll('.device-card').length === n", arg=DEVICES, timeout=60_000
        )
        yield


def test_devices_come_up_by_themselves_and_their_figures_move(page: Page, moving: None) -> None:
    page.wait_for_function("() => /^[1-9][0-9,]*$/.test(document.querySelectorAll('.figure dd')[1].textContent)")
    page.wait_for_function("n => document.querySelector('.figure dd').textContent === `${n} of ${n}`", arg=DEVICES)
    card = page.locator(".device-card", has=page.get_by_role("link", name="demo-0000"))
    assert "Live" in card.inner_text()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.sensors')].every(s => s.textContent.includes('acceleration'))"
    )
    page.wait_for_function("() => [...document.querySelectorAll('.battery')].every(s => s.textContent.includes('%'))")
    inked = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
    page.wait_for_function(f"() => [...document.querySelectorAll('.spark')].every({inked})")


def test_an_anomaly_that_opens_is_shown_on_its_card(page: Page, moving: None) -> None:
    page.wait_for_function(
        "() => [...document.querySelectorAll('.found:not(.none)')].some(f => f.textContent.includes('open'))",
        timeout=90_000,
    )
    chip = page.locator(".found:not(.none)").first
    assert "#/anomalies?device=demo-" in (chip.get_attribute("href") or "")
    shots(page, "fleet")


def test_nothing_jumps_and_axe_is_content(page: Page, moving: None) -> None:
    page.reload()
    page.wait_for_selector(".fleet .device-card .chip.good")
    page.wait_for_timeout(3_000)  # what would jump does it now
    shifts = page.evaluate("shifts")
    assert sum(one[0] for one in shifts) < SHIFT_MAX, shifts
    assert axe(page) == []


def test_the_filter_leaves_what_fits(page: Page, moving: None) -> None:
    page.get_by_label("Name").fill("0001")
    expect(page.locator(".device-card:visible")).to_have_count(1)
    page.get_by_label("Name").fill("nothing of this name")
    expect(page.get_by_text("No device fits the filter.")).to_be_visible()
    page.get_by_label("Name").fill("")
    page.get_by_label("State").select_option("live")
    expect(page.locator(".device-card:visible")).to_have_count(DEVICES)
    page.get_by_label("State").select_option("")


def test_a_device_without_readings_says_what_to_do(page: Page, at: Station, moving: None) -> None:
    made = httpx.post(f"{at.url}/v1/devices", json={"device": "new-one"}, headers={"Authorization": f"Bearer {at.key}"})
    assert made.status_code == 201
    visit(page, "device/new-one")
    assert page.get_by_role("link", name="Set it up").get_attribute("href") == "#/devices/of/new-one"
    visit(page, "")
    page.locator(".device-card", has_text="new-one").get_by_text("Never seen").wait_for()


def test_a_card_leads_to_its_device_by_keyboard(page: Page, moving: None) -> None:
    visit(page, "")
    page.get_by_role("link", name="demo-0001", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/device/demo-0001*")
    page.go_back()


def test_on_a_narrow_phone_nothing_is_cut_off(page: Page, moving: None) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    visit(page, "")
    page.wait_for_selector(".device-card:visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 800})


def test_five_hundred_devices_do_not_freeze_it(page: Page) -> None:
    """Two pulses a second of each for three seconds cost the page's thread less than half of them."""
    visit(page, "")
    page.evaluate(
        """async () => {
          const { List } = await import('/assets/pages/fleet/list.js');
          const { Device } = await import('/assets/pages/fleet/model.js');
          window.stopped = new AbortController();
          window.many = Array.from({length: 500}, (_, k) => new Device(`many-${k}`));
          window.list = new List(stopped.signal, () => Date.now());
          document.querySelector('.listed').append(list.el);
          for (const device of many) list.add(device);
          await new Promise(done => setTimeout(done, 500));
        }"""
    )
    before_s = worked_s(page)
    page.evaluate(
        """async () => {
          for (let turn = 0; turn < 30; turn++) {
            for (let k = turn % 5; k < 500; k += 5) {
              many[k].pulse({received: Date.now(), readings: 60});
              list.changed(many[k].name);
            }
            await new Promise(done => setTimeout(done, 100));
          }
          list.sort();
        }"""
    )
    assert worked_s(page) - before_s < 1.5
    assert page.evaluate("list.el.children.length") == 500
    assert 0 < page.evaluate("[...list.cards.values()].filter(c => c.seen).length") < 100  # the others wait
    page.evaluate("stopped.abort(); list.el.remove()")


def worked_s(page: Page) -> float:
    """Processor time of the page's main thread: how busy the machine is does not count."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])
