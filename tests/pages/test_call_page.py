"""The page of a call, in a real browser: from a host, live, and from a file that was sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pages.conftest import QUESTION, ROOT, running, until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.slow

Browse = Callable[..., "BrowserContext"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory, speech: object) -> Path:
    """A history with one call, on virtual time; a caller breaks in, and her name is markup."""
    run = [sys.executable, "-m", "voxpy", "run", "scenarios/answer.py", "--fast", "--json"]
    out = tmp_path_factory.mktemp("history") / "calls"
    more = ["--from", HOSTILE, "--agent", "local", "--out", str(out)]
    subprocess.run([*run, *more], check=True, cwd=ROOT, capture_output=True)
    return out


def shown(page: Page) -> None:
    page.wait_for_selector("body.call-page[data-ready=true]")
    until(page, "voxpy.shown.peaks.length > 700")


def check(page: Page) -> None:
    """Look at everything a call's page shows of that call."""
    assert HOSTILE in page.inner_text("#title")
    assert page.locator("main img").count() == 0
    assert page.locator("#transcript li.agent").count() == 5
    assert page.locator("#transcript s").inner_text().startswith(" it to me")
    assert page.locator("#turns li").count() == 4
    times = [int(text.removesuffix(" ms")) for text in page.locator("#turns b").all_text_contents()]
    assert all(200 < ms < 1000 for ms in times)
    page.click("#tab-ladder")
    heads = page.locator("#ladder-head b").all_text_contents()
    assert heads == [HOSTILE, "scenario", "Inworld"]
    assert page.locator(".rung >> text=session.update").count() >= 1
    page.click(".rung >> text=session.update >> nth=0")
    assert '"name": "session.update"' in page.inner_text("#raw-text")
    page.fill("#search", "whatsapp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#transcript mark >> text=WhatsApp")
    assert page.inner_text("#hits").startswith("1 of ")
    assert page.get_attribute("#tab-ladder", "aria-selected") == "true"
    page.click("#tab-events")
    assert page.locator(".event mark").count() >= 1
    at = page.inner_text("#where")
    page.click("#play")
    until(page, f"document.getElementById('where').textContent !== {at!r}")
    page.click("#play")
    page.focus("#lanes")
    page.keyboard.press("+")
    assert page.evaluate("voxpy.shown.lanes.span < 30")
    page.keyboard.press("0")
    assert page.evaluate("voxpy.shown.lanes.span > 29")


def test_nothing_is_wider_than_the_window(browse: Browse, calls: Path) -> None:
    browser = browse().browser
    assert browser is not None
    address = _file(calls).as_uri()
    for width in (400, 1024, 1600):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(address)
        shown(page)
        for tab in ("words", "turns", "ladder", "events"):
            if page.is_visible(f"#tab-{tab}"):
                page.click(f"#tab-{tab}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.getElementById('lanes').width > 0")


def test_a_call_from_a_host_and_from_a_file(browse: Browse, project: Path, calls: Path) -> None:
    arguments = ["serve", "routing.yaml", "--port", "0", "--agent", "ws://127.0.0.1:9/x"]
    context = browse(viewport={"width": 1280, "height": 900})
    with running([*arguments, "--out", str(calls)], project) as host:
        page = context.new_page()
        page.goto(f"{host}/calls")
        page.wait_for_selector("body[data-ready=true]")
        assert page.inner_text("#rows .whom a").startswith(HOSTILE)
        listed = context.new_page()
        listed.goto(f"{host}/calls")
        listed.wait_for_selector("body[data-ready=true]")
        page.bring_to_front()  # pages behind are drawn once a second
        page.click("#rows tr")
        shown(page)
        check(page)
        with page.expect_download() as download:
            page.click("#buttons a")
        sent = calls.parent / "sent.html"
        download.value.save_as(sent)
    listed.bring_to_front()
    listed.click("[data-which=errors]")
    listed.wait_for_selector("#empty >> text=The host does not answer.")
    page.bring_to_front()
    page.goto(sent.as_uri())
    shown(page)
    check(page)


def test_a_call_as_it_happens(browse: Browse, host: str, microphone: Any) -> None:
    context = browse(microphone(6.5, *QUESTION))
    phone = context.new_page()
    phone.goto(host + "/")
    phone.wait_for_selector("body[data-ready=true]")
    phone.fill("#to", "+15550199")
    phone.click("#call")
    phone.wait_for_selector("#why:visible")
    watching = context.new_page()
    watching.goto(host + str(phone.get_attribute("#why", "href")))
    watching.wait_for_selector("#state >> text=live")
    watching.wait_for_selector("#transcript .caller >> text=What can you do")
    watching.click("[data-mode=whisper]")
    until(watching, "document.querySelector('[data-mode=whisper]').ariaPressed === 'true'")
    watching.wait_for_selector("#turns li")
    watching.click(".button.danger")
    watching.wait_for_selector("#state >> text=ended")
    phone.wait_for_selector("#screen[data-state=ended]")
    until(watching, "!document.getElementById('play').disabled")


def _file(calls: Path) -> Path:
    path = calls / "page.html"
    show = [sys.executable, "-m", "voxpy", "show", "last", "--html", str(path), "--out", str(calls)]
    subprocess.run(show, check=True, cwd=ROOT, capture_output=True)
    return path
