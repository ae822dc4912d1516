"""The phone in the page, in a real browser: it calls, is understood, hears, and breaks in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.pages.conftest import QUESTION, RECORD, hears, running, until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.slow

Browse = Callable[..., "BrowserContext"]


def open_phone(context: BrowserContext, host: str) -> Page:
    page = context.new_page()
    page.goto(host + "/")
    page.wait_for_selector("body[data-ready=true]")
    return page


def call(page: Page, to: str) -> None:
    page.fill("#to", to)
    page.click("#call")
    page.wait_for_selector("#screen[data-state=answered]")
    until(page, "voxpy.line.output")
    page.evaluate(f"({RECORD})(({{context: voxpy.line.context, node: voxpy.line.output}}))")


def test_a_page_calls_and_breaks_in(
    browse: Browse, host: str, microphone: Any, understood: Any
) -> None:
    # However late the answer is, its first words have been heard by then, and not its last.
    path = microphone(6.5, "How does it work?", 5.0, "Does it support WhatsApp?", 60)
    page = open_phone(browse(path), host)
    assert page.locator("#rules .chip").all_text_contents() == ["answer+1555555", "echo", "ring"]
    call(page, "+15550199")
    page.wait_for_selector("#lines .caller >> text=How does it work")
    page.wait_for_selector("#lines .caller >> text=WhatsApp")
    page.wait_for_selector("#lines .agent >> text=WhatsApp Business")
    page.wait_for_selector("#lines .agent s >> text=/./")
    until(page, "voxpy.line.statistics.waiting_ms === 0")
    heard = understood(page)
    assert "call comes in" in heard
    assert "business calls can reach the same agent" in heard
    assert "interrupt me at any time" not in heard
    clears = [c for c in page.evaluate("voxpy.line.statistics.clears") if c["dropped_ms"]]
    assert len(clears) == 1
    assert clears[0]["received_at"] <= clears[0]["emptied_at"]
    page.click("#call")
    page.wait_for_selector("#screen[data-state=ended]")
    assert page.inner_text("#state").startswith("You hung up after")
    page.click("#why")
    page.wait_for_selector("body.call-page[data-ready=true]")
    page.wait_for_selector("#transcript >> text=WhatsApp")  # it may still come, live
    assert page.locator("#turns li").count() == 2


def test_a_page_calls_by_webrtc(
    browse: Browse, host: str, microphone: Any, understood: Any
) -> None:
    pytest.importorskip("aiortc", reason="voxpy[webrtc] carries the audio")
    page = open_phone(browse(microphone(7.5, *QUESTION)), host)
    page.click("summary")
    page.select_option("#transport", "webrtc")
    call(page, "+15550199")
    page.wait_for_selector("#lines .caller >> text=What can you do")
    page.wait_for_selector("#lines .agent >> text=hours and prices")
    hears(page, "hours and prices", understood)
    page.click("#call")
    page.wait_for_selector("#screen[data-state=ended]")


def test_keys_without_a_microphone_and_a_call_that_nobody_takes(
    browse: Browse, host: str, project: Path
) -> None:
    context = browse()
    context.clear_permissions()
    page = open_phone(context, host)
    page.keyboard.press("Tab")
    page.fill("#to", "nobody at all")
    page.keyboard.press("Enter")
    page.wait_for_selector("#screen[data-failed=true]")
    assert "No rule of this host takes it" in page.inner_text("#state")
    page.click("#keypad")
    page.click("[data-digit='5']")
    assert page.input_value("#to").endswith("5")
    page.fill("#to", "echo")
    page.click("#call")
    page.wait_for_selector("#screen[data-state=answered]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#screen[data-state=ended]")


def test_run_browser_serves_one_scenario_to_the_page(project: Path) -> None:
    no_browser = {"BROWSER": "true", "PATH": ""}
    arguments = ["run", "--browser", "echo.py", "--agent", "local"]
    with running(arguments, project, no_browser) as address:
        with urlopen(f"{address}/phone.json") as answer:
            told = json.load(answer)
        with urlopen(f"{address}/") as answer:
            assert b"<title>Phone" in answer.read()
    assert (told["to"], told["destinations"]) == ("echo", [])
